"""The site itself, and its console in the place of Django's plain admin."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class SiteConfig(AppConfig):
    name = "mlsite"
    verbose_name = "Site"

    def ready(self) -> None:
        from . import checks

        checks.register()


class ConsoleConfig(AdminConfig):
    default_site = "mlsite.console.Console"
