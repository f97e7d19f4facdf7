"""Forms in the place of allauth's. Apart from `accounts.forms`, which allauth's own forms are built upon."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as account_forms
from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.socialaccount import forms as socialaccount_forms
from django import forms
from django.contrib import messages
from django.db import transaction
from django.utils import timezone

from accounts.forms import AddressField
from accounts.services import sign_in


class _Addressed(forms.Form):
    """Takes addresses in the one form that the site keeps."""

    #: The address is looked up and not kept.
    is_known = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in list(self.fields.items()):
            if isinstance(field, forms.EmailField):
                self.fields[name] = AddressField(
                    is_known=self.is_known, label=field.label, required=field.required, widget=field.widget
                )


class SignInForm(_Addressed, account_forms.LoginForm):
    is_known = True


class SignUpForm(_Addressed, account_forms.SignupForm):
    pass


class AddAddressForm(_Addressed, account_forms.AddEmailForm):
    pass


class ResetPasswordForm(_Addressed, account_forms.ResetPasswordForm):
    is_known = True


class ProviderSignUpForm(_Addressed, socialaccount_forms.SignupForm):
    pass


class UnlinkForm(socialaccount_forms.DisconnectForm):
    """Takes one sign-in away. Works also for a provider that is no longer in the settings."""

    def save(self) -> None:
        raise_if_reauthentication_required(self.request, app="allauth.socialaccount")
        account = self.cleaned_data["account"]
        with transaction.atomic():
            sign_in.unlinked(account, user=self.request.user, now=timezone.now())
            account.delete()
        messages.success(self.request, "Unlinked.")
