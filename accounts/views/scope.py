"""Pages for those who run an instance. For everybody else they are not there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache

from accounts.models import User
from accounts.rules import authority
from labs.models import Instance

P = ParamSpec("P")


def for_staff(view: Callable[Concatenate[HttpRequest, Instance, P], Any]) -> Callable[..., HttpResponse]:
    """The view with the instance, for its owners and staff and for site administrators; 404 for all others.

    Where they must have a second factor (REQUIRE_TWO_FACTOR), those without one are sent to set it up, as by the console.
    """

    @login_required
    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponse:
        user = cast(User, request.user)
        instance = get_object_or_404(Instance.objects.visible_to(user), slug=slug)
        if not authority.can_see_people(user, instance):
            raise Http404
        if authority.lacks_second_factor(user):
            messages.warning(request, "Set up two-factor authentication first: the staff pages require it.")
            return redirect("mfa_index")
        answer: HttpResponse = view(request, instance, *args, **kwargs)
        return answer

    return wrapped
