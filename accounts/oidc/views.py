"""To a provider and back. Whatever a provider does wrong ends on a page that says so, never in an error of ours."""

from __future__ import annotations

from collections.abc import Callable

from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.internal.statekit import STATES_SESSION_KEY
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.conf import settings
from django.core.exceptions import MultipleObjectsReturned
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from .provider import InstitutionAdapter


def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Asks on GET, goes on POST. What will be linked to an account asks first whether it is still its owner at the screen."""
    is_linking = request.method == "POST" and AuthProcess.CONNECT in (
        request.POST.get("process"),
        request.GET.get("process"),
    )
    if is_linking and is_reauthentication_required(request, app="allauth.socialaccount"):
        raise ReauthenticationRequired
    return _through(request, provider_id, OAuth2LoginView.adapter_view)


@never_cache
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends people back to. Who is signed in and goes back to it with the browser's button stays signed in."""
    states = request.session.get(STATES_SESSION_KEY) or {}
    if request.user.is_authenticated and request.GET.get("state") not in states:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return _through(request, provider_id, OAuth2CallbackView.adapter_view)


def _through(
    request: HttpRequest, provider_id: str, view_of: Callable[..., Callable[..., HttpResponse]]
) -> HttpResponse:
    adapter = InstitutionAdapter(request, provider_id)
    try:
        app = get_adapter().get_app(request, provider=provider_id)
    except (SocialApp.DoesNotExist, MultipleObjectsReturned):
        raise Http404 from None
    if app.provider_id != provider_id:
        raise Http404
    try:
        return view_of(adapter)(request)
    except OAuth2Error as trouble:  # Where allauth does not expect it: discovery, while somebody is on the way.
        return render_authentication_error(request, adapter.get_provider(), exception=trouble)
