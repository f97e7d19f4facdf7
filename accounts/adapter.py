"""What allauth asks of the site: who may make an account, which addresses count, how secrets are kept."""

from __future__ import annotations

import contextlib
import logging
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.internal.flows import reauthentication
from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from allauth.account.utils import user_email
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, _build_apps_from_settings
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from anymail.exceptions import AnymailError
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from accounts.addresses import BadAddress, normalised
from accounts.dressing import DressedMails
from accounts.rules import claims
from accounts.services import browsers, sign_in
from labs.errors import Refusal
from labs.services import vault

log = logging.getLogger(__name__)


class AccountAdapter(DressedMails, DefaultAccountAdapter):
    """Accounts with e-mail and password."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_taken": "There is already an account with this address.",
        "email_password_mismatch": "The e-mail address or password is incorrect.",
        "too_many_login_attempts": "Too many attempts with this address. Wait five minutes, sign in another way, or choose "
        "“Forgot your password?”: a new password works immediately.",
        "incorrect_code": "This code is incorrect.",
        "rate_limited": "Too many attempts. Please wait a few minutes and try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return settings.PASSWORD_SIGN_IN and settings.SIGN_UP == "everybody"

    def clean_email(self, email: str) -> str:
        """An address that somebody else has claimed and never proved is free for whoever asks next."""
        try:
            email = normalised(email)
        except BadAddress as problem:
            raise ValidationError(str(problem)) from problem
        sign_in.drop_unfinished(email)
        return super().clean_email(email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail that somebody waits for. When it cannot be sent, they are told so, at once.

        Its links lead to SITE_URL: what a request says of the host and port was written by whoever sent it.
        """
        links = {key: _on_this_site(value) for key, value in context.items() if key.endswith("_url")}
        context = {**context, **links, "site_url": settings.SITE_URL}
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, AnymailError) as error:
            log.error("a mail of signing in (%s) could not be sent: %s", template_prefix, type(error).__name__)
            raise ImmediateHttpResponse(render(self.request, "account/no_mail.html", status=503)) from error

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """A mail that tells of a change which is made already; it does not undo it."""
        with contextlib.suppress(ImmediateHttpResponse):
            super().send_notification_mail(*args, **kwargs)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """By what tries are counted: the address, and with it the network; apart from all others a browser that has signed in with the
        address before. So nobody uses up the tries of somebody else who comes from elsewhere.
        """
        key = str(super()._get_login_attempts_cache_key(request, **credentials))
        return f"{key}:{self._known_browser(request, **credentials) or ratelimit.get_ip(request)}"

    def _known_browser(self, request: HttpRequest, **credentials: Any) -> str:
        kept = request.COOKIES.get(settings.BROWSER_COOKIE_NAME, "")
        return browsers.known(kept, credentials.get("email", "")) if kept else ""

    def _count_in_all(self, request: HttpRequest, **credentials: Any) -> Any:
        """One more try at the address, from whatever network: many of these together guess no faster than this allows."""
        key = super()._get_login_attempts_cache_key(request, **credentials)
        return ratelimit.consume(request, app="allauth.account", action="login_failed_in_all", key=key)

    def _rollback_login_failed_rl_usage(self) -> None:
        super()._rollback_login_failed_rl_usage()
        if usage := getattr(self, "_usage_in_all", None):
            usage.rollback()

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        super()._delete_login_attempts_cached_email(request, **credentials)
        key = super()._get_login_attempts_cache_key(request, **credentials)
        ratelimit.clear(request, app="allauth.account", action="login_failed_in_all", key=key)

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        user = super().authenticate(request, **credentials)
        if user:
            request.signed_in_with = credentials.get("email", "")  # type: ignore[attr-defined]
        return user

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        if not settings.PASSWORD_SIGN_IN and not request.user.is_authenticated:
            raise self.validation_error("invalid_login")
        super().pre_authenticate(request, **credentials)
        if self._known_browser(request, **credentials):
            return
        self._usage_in_all = self._count_in_all(request, **credentials)
        if not self._usage_in_all:
            raise self.validation_error("too_many_login_attempts")

    def reauthenticate(self, user: Any, password: str) -> bool:
        """Also for accounts that were made without a form, whose address stands on the account alone."""
        if not EmailAddress.objects.filter(user=user, primary=True).exists():
            EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"primary": True})
        return bool(super().reauthenticate(user, password))


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Accounts with a provider."""

    error_messages = {
        **DefaultSocialAccountAdapter.error_messages,
        "email_taken": "There is already an account with this address. Sign in as you did before, then link %s on your profile.",
        "no_password": "This is your only way to sign in. First set a password or link another sign-in.",
        "no_verified_email": "This is your only way to sign in. First confirm your address or link another sign-in.",
        "disconnect_last": "This is your only way to sign in. First link another sign-in.",
    }

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return bool(settings.SIGN_UP != "nobody")

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[Any]:
        """Of the settings only, and in their order: no secret of a provider is kept in the data base."""
        found = _build_apps_from_settings(provider=provider, client_id=client_id)
        return sorted((app for apps in found.values() for app in apps), key=lambda app: app.settings.get("rank", 0))

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> Any:
        """Name and affiliation as the provider says them, and of the addresses those that count."""
        user = super().populate_user(request, sociallogin, data)
        told = claims.of(sociallogin.account.extra_data)
        user.name, user.affiliation = claims.name(told) or claims.name(data), claims.affiliation(told)
        sociallogin.email_addresses = _judged(sociallogin, told)
        user_email(user, sociallogin.email_addresses[0].email if sociallogin.email_addresses else "")
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Before anything happens with what a provider has said."""
        sociallogin.token = None
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            _link(request, sociallogin)
        elif sociallogin.is_existing:
            if sociallogin.user.is_active:
                sign_in.prove(sociallogin.user, _proved(sociallogin))
                sign_in.describe(sociallogin.user, sociallogin.account)
        elif row := sign_in.move_in(sociallogin.account, _proved(sociallogin), now=timezone.now()):
            sociallogin.account, sociallogin.user = row, row.user
        else:
            _refuse_what_is_taken(request, sociallogin)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> Any:
        """The new account with its sign-in and its address, or nothing of it."""
        try:
            with transaction.atomic():
                user = super().save_user(request, sociallogin, form)
                sign_in.begun_with(sociallogin.account, user=user, now=timezone.now())
        except IntegrityError:  # The same person, in two windows at once.
            messages.warning(request, "This was submitted twice at the same time. Please try again.")
            raise ImmediateHttpResponse(redirect("account_login")) from None
        return user

    def get_signup_form_initial_data(self, sociallogin: SocialLogin) -> dict[str, Any]:
        user = sociallogin.user
        initial = super().get_signup_form_initial_data(sociallogin)
        return {**initial, "name": user.name, "affiliation": user.affiliation}

    def validate_disconnect(self, account: Any, accounts: Any) -> None:
        if not settings.PASSWORD_SIGN_IN and not accounts.exclude(pk=account.pk).exists():
            raise self.validation_error("disconnect_last")

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        """For the operator; the person sees a page. What a provider answered is not written down: it may be a token."""
        log.warning("sign-in with %s failed: %s", provider.sub_id, str(exception or error)[:80])


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of authenticator apps and recovery codes are kept encrypted."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "This code is incorrect. The app shows a new code every 30 seconds: try the next one.",
        "unverified_email": "First confirm your e-mail address.",
    }

    def encrypt(self, text: str) -> str:
        return vault.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return vault.open(encrypted_text)

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        """What a key is called until its owner calls it otherwise."""
        count = user.authenticator_set.filter(type=type).count()
        return f"Key {count + 1}" if count else "My key"


def _on_this_site(address: str) -> str:
    parts = urlsplit(address)
    return settings.SITE_URL + urlunsplit(("", "", parts.path, parts.query, ""))


def _judged(sociallogin: SocialLogin, told: dict[str, Any]) -> list[EmailAddress]:
    """The addresses, with `verified` as the settings of the provider have it. Unproved ones: one at most, to be proved by mail."""
    trust = sociallogin.provider.app.settings
    is_oidc = sociallogin.provider.id == "openid_connect"
    rows = [row for row in sociallogin.email_addresses if claims.email({"email": row.email})]
    for row in rows:
        said = told.get("email_verified") if is_oidc else row.verified
        is_plain = claims.is_plain(told.get("email") if is_oidc else row.email)
        row.email = claims.email({"email": row.email})
        row.verified = is_plain and claims.is_verified(
            row.email, said, trusted_domains=trust["trusted_domains"], trusts_unstated=trust["trusts_unstated"]
        )
    rows.sort(key=lambda row: (not row.verified, not row.primary))
    proved = [row for row in rows if row.verified]
    for row in rows:
        row.primary = row is rows[0]
    return proved or rows[:1]


def _proved(sociallogin: SocialLogin) -> list[str]:
    return [row.email for row in sociallogin.email_addresses if row.verified]


def _link(request: HttpRequest, sociallogin: SocialLogin) -> None:
    """Link to the account of the person who is signed in, and go back to the page of sign-ins. Always raises."""
    page = reverse("socialaccount_connections")
    if not request.user.is_authenticated:
        raise ImmediateHttpResponse(redirect("account_login"))
    if reauthentication.is_reauthentication_required(request, app="allauth.socialaccount"):
        raise ImmediateHttpResponse(redirect(f"{reverse('account_reauthenticate')}?next={page}"))
    user: Any = request.user
    title = sociallogin.provider.name
    try:
        is_new = sign_in.link(sociallogin.account, user=user, now=timezone.now())
        sign_in.describe(user, sociallogin.account)
    except Refusal as refusal:
        messages.error(request, refusal.message)
    else:
        for row in sign_in.prove(user, _proved(sociallogin)):
            email_confirmed.send(sender=EmailAddress, request=request, email_address=row)
        if is_new:
            context = {"provider": sociallogin.provider, "account": sociallogin.account}
            get_account_adapter().send_notification_mail("socialaccount/email/account_connected", user, context)
        messages.success(request, f"You can now sign in with {title}." if is_new else f"{title} is already linked.")
    raise ImmediateHttpResponse(redirect(page))


def _refuse_what_is_taken(request: HttpRequest, sociallogin: SocialLogin) -> None:
    """An address that has an account gets no second one, and the first is not opened by it.

    Said openly only to whoever has proved the address; for others the mail says it, so that nobody learns who has an account.
    """
    if not sociallogin.email_addresses:
        return
    first = sociallogin.email_addresses[0]
    sign_in.drop_unfinished(first.email)
    is_hidden = settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory" and not first.verified
    if sign_in.is_taken(first.email) and not is_hidden:
        only = not settings.PASSWORD_SIGN_IN and sign_in.is_only_way_in(sociallogin.account.provider, first.email)
        context = {"email": first.email, "provider": sociallogin.provider.name, "has_changed": only}
        raise ImmediateHttpResponse(render(request, "socialaccount/taken.html", context, status=409))
