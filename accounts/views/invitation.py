"""The link of an invitation: explained to whoever opens it, and accepted by POST once they are signed in.

The token stands in the path of its own page only: from there on it is kept in the session, so that the pages of sign-in and
sign-up have no secret in their address.
"""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.forms import INVITED_NAME
from accounts.models import Membership, RosterEntry, Status
from accounts.services import invitations
from accounts.services.contacts import owners
from accounts.services.invitations import Found
from labs.errors import Refusal

KEY = "invitation"
#: Said to the browser on every page that has a token in its address: tell nobody else of it.
REFERRER = "same-origin"
STATUS = {"altered": 404, "withdrawn": 410, "used": 410, "superseded": 410, "expired": 410, "over": 410}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    found = invitations.find(token, now=timezone.now())
    response = _page(request, found) if request.method != "POST" else _answer(request, found, token)
    response["Referrer-Policy"] = REFERRER
    return response


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def remembered(request: HttpRequest) -> HttpResponse:
    """The same for the invitation that this browser has opened before it signed in."""
    token = str(request.session.get(KEY, ""))
    found = invitations.find(token, now=timezone.now())
    if not token:
        return redirect("home")
    return _page(request, found) if request.method != "POST" else _answer(request, found, token)


def _page(request: HttpRequest, found: Found) -> HttpResponse:
    entry = found.entry
    if entry and entry.user_id and entry.user_id == request.user.pk:
        # Signing in with the roster's address has bound it already.
        return redirect(entry.instance)
    context = {
        "found": found, "invited_to": entry.instance if entry else None, "is_good": entry and not found.problem,
        "owners": owners(entry.instance) if entry and found.problem else [], "can_sign_up": get_adapter().is_open_for_signup(request),
    }  # fmt: skip
    return render(request, "people/invitation.html", context, status=STATUS.get(found.problem, 200))


def _answer(request: HttpRequest, found: Found, token: str) -> HttpResponse:
    if found.problem or found.entry is None:
        return _page(request, found)
    if not request.user.is_authenticated:
        return _go_and_sign_in(request, found.entry, token)
    user = request.user
    try:
        entry = invitations.take(token, user=user, now=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("home")
    request.session.pop(KEY, None)
    request.session.pop(INVITED_NAME, None)
    is_in = Membership.objects.filter(user=user, instance=entry.instance, status=Status.APPROVED).exists()
    if is_in:
        messages.success(request, f"Welcome to {entry.instance}.")
    return redirect(entry.instance)


def _go_and_sign_in(request: HttpRequest, entry: RosterEntry, token: str) -> HttpResponse:
    """Remember the invitation. It proves a mailbox to its own instance only: a new account confirms its address by a code, as always."""
    request.session[KEY] = token
    request.session[INVITED_NAME] = entry.name
    page = "account_login"
    if request.POST.get("then") == "sign-up" and get_adapter().is_open_for_signup(request):
        page = "account_signup"
    return redirect(f"{reverse(page)}?{urlencode({'next': reverse('invitation-remembered')})}")
