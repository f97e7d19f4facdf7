"""Forms in the place of allauth's. Apart from `accounts.forms`, which allauth's own forms are built upon."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as account_forms
from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base import forms as mfa_forms
from allauth.mfa.totp import forms as totp_forms
from allauth.socialaccount import forms as socialaccount_forms
from django import forms
from django.contrib import messages
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts.forms import AddressField
from accounts.services import second_factor, sign_in


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
    def try_save(self, request: Any) -> Any:
        """An address that has an account takes as long as another, or the time would tell who has one."""
        if self.account_already_exists:
            make_password(self.cleaned_data["password1"])
        return super().try_save(request)


class AddAddressForm(_Addressed, account_forms.AddEmailForm):
    pass


class ResetPasswordForm(_Addressed, account_forms.ResetPasswordForm):
    is_known = True


class ProviderSignUpForm(_Addressed, socialaccount_forms.SignupForm):
    pass


class _OnceOnly(forms.Form):
    """Takes each code once. allauth itself remembers a code for less time than it takes it."""

    user: Any

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if not second_factor.use_once(self.user, code):
            raise get_mfa_adapter().validation_error("incorrect_code")
        return code


class SecondFactorForm(_OnceOnly, mfa_forms.AuthenticateForm):
    pass


class SecondFactorAgainForm(_OnceOnly, mfa_forms.ReauthenticateForm):
    pass


class ActivateAppForm(_OnceOnly, totp_forms.ActivateTOTPForm):
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
