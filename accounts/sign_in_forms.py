"""Forms in the place of allauth's. Apart from `accounts.forms`, which allauth's own forms are built upon."""

from __future__ import annotations

from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.socialaccount.forms import DisconnectForm
from django.contrib import messages
from django.db import transaction
from django.utils import timezone

from accounts.services import sign_in


class UnlinkForm(DisconnectForm):
    """Takes one sign-in away. Works also for a provider that is no longer in the settings."""

    def save(self) -> None:
        raise_if_reauthentication_required(self.request, app="allauth.socialaccount")
        account = self.cleaned_data["account"]
        with transaction.atomic():
            sign_in.unlinked(account, user=self.request.user, now=timezone.now())
            account.delete()
        messages.success(self.request, "Unlinked.")
