"""The site itself, and its console in the place of Django's plain admin."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import pre_save


class SiteConfig(AppConfig):
    name = "mlsite"
    verbose_name = "Site"

    def ready(self) -> None:
        from django_q.models import Task

        from . import checks, logs

        checks.register()
        pre_save.connect(logs.scrub_result, sender=Task)


class ConsoleConfig(AdminConfig):
    default_site = "mlsite.console.Console"
