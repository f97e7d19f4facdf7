"""The page of one's addresses: allauth's, which says what comes of each press of a button."""

from __future__ import annotations

from typing import Any

from allauth.account.views import EmailView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse

from accounts.addresses import searched


class AddressesView(EmailView):
    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        self._say_sent(form.cleaned_data["email"])
        return response

    def _action_send(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        address = searched(request.POST["email"])
        response = super()._action_send(request, *args, **kwargs)
        if self._did_send_verification_email:
            self._say_sent(address)
        elif self._get_email_address(request) is None:
            messages.error(request, "This address is no longer on your account.")
        else:
            messages.warning(
                request,
                f"We have just sent an e-mail to {address}. Check your spam folder, or try again in a few minutes.",
            )
        return response

    def _say_sent(self, address: str) -> None:
        """Where a code is mailed, the page on which it is typed says so itself."""
        if not settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED:
            messages.success(
                self.request, f"We have sent a link to {address}. Open it to confirm the address.{_where()}"
            )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {**context, "by_code": settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED}


def _where() -> str:
    """On a laptop without a mail server nothing leaves the machine."""
    return (
        f" This site writes its e-mails to {settings.MAIL_FOLDER}."
        if settings.EMAIL_BACKEND.endswith(".Folder")
        else ""
    )


addresses = login_required(AddressesView.as_view())
