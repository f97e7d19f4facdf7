"""Where the mail service tells what became of a mail."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from accounts.services import bounces
from labs.errors import Refusal

log = logging.getLogger(__name__)
#: By which Mailgun knows that it need not try again.
NOT_ACCEPTABLE = 406
#: What comes of a body that is not Mailgun's, before or after its signature is looked at.
UNREADABLE = (SuspiciousOperation, LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError)


class _Notices(MailgunTrackingWebhookView):
    """Anymail checks the signature; `accounts.services.bounces` knows a copy."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            told = self._read(request)
        except UNREADABLE as error:
            log.warning("a notice about a mail was refused: %s", type(error).__name__)
            return HttpResponse(status=NOT_ACCEPTABLE)
        try:
            for event, signed_at in told:
                bounces.take(event, signed_at=signed_at, now=timezone.now())
        except Refusal as refusal:
            log.warning("a notice about a mail was refused: %s", refusal.code)
            return HttpResponse(status=NOT_ACCEPTABLE)
        return HttpResponse()

    def _read(self, request: HttpRequest) -> list[tuple[AnymailTrackingEvent, datetime.datetime]]:
        """What it tells, with when it was signed. The older form is refused: there, values of others stand among its fields."""
        if request.content_type != "application/json":
            raise SuspiciousOperation("not JSON")
        self.run_validators(request)
        return [(event, bounces.signed_at(event)) for event in self.parse_events(request)]


_notices = _Notices.as_view()


@csrf_exempt
def mailgun(request: HttpRequest) -> HttpResponse:
    """Mailgun's notices, by POST; without a signing key the page is not there."""
    if not settings.ANYMAIL.get("MAILGUN_WEBHOOK_SIGNING_KEY"):
        raise Http404
    return _notices(request) if request.method == "POST" else HttpResponseNotAllowed(["POST"])
