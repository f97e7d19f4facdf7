"""After a change of SECRET_KEY: what is kept encrypted comes under the new key, and the old one can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services import second_factor
from labs.services.clusters import reseal_all
from labs.services.vault import CannotOpen


class Command(BaseCommand):
    help = (
        "Re-encrypt stored kubeconfigs, registry logins and second-factor secrets with the current SECRET_KEY. The previous key "
        "must be in SECRET_KEY_FALLBACKS."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = reseal_all() + second_factor.reseal_all()
        except CannotOpen as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"{count} encrypted with the current key.")
