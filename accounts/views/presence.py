"""Whether the person at the screen is still the one who signed in: asked before what cannot be undone."""

from __future__ import annotations

import time
from typing import cast
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate, get_reauthentication_flows
from allauth.account.utils import get_next_redirect_url
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User


def is_recent(request: HttpRequest) -> bool:
    """Whether they have signed in, or given password or second factor, within ACCOUNT_REAUTHENTICATION_TIMEOUT seconds."""
    user = cast(User, request.user)
    records = get_authentication_records(request, user)
    latest = max((record["at"] for record in records), default=0)
    if time.time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT:
        return True
    return bool(get_reauthentication_flows(user)) and did_recently_reauthenticate(request)


def prove_presence(request: HttpRequest) -> HttpResponse:
    """To where they give password or second factor once more; who has neither signs in anew. Then back to this page."""
    ways = get_adapter().get_reauthentication_methods(request.user)
    page = ways[0]["url"] if ways else reverse("sign-in-again")
    return redirect(f"{page}?{urlencode({'next': request.path})}")


@login_required
@never_cache
@require_safe
def again(request: HttpRequest) -> HttpResponse:
    """For who has neither password nor second factor: the providers that know them, and then back to `next`."""
    known = set(SocialAccount.objects.filter(user=cast(User, request.user)).values_list("provider", flat=True))
    return render(request, "accounts/again.html", {"known": known, "next": get_next_redirect_url(request) or ""})
