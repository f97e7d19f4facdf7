"""People: who they are, what they are in an instance, who decided it."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People"

    def ready(self) -> None:
        from . import signals

        signals.connect()
