"""A person's own page: who they are, how they sign in, where they take part; their data; the end of the account."""

from __future__ import annotations

import json
from typing import Any, cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import DeletionForm, ProfileForm
from accounts.models import Mail, Membership, User
from accounts.rules import authority, identity
from accounts.services import deletion, export
from accounts.views.presence import is_recent, prove_presence
from labs.errors import Refusal
from labs.models import Workload


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    form = ProfileForm(request.POST if request.method == "POST" else None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("profile")
    return render(request, "profile.html", {"form": form, **_about(user)}, status=400 if form.errors else 200)


def _about(user: User) -> dict[str, Any]:
    addresses = list(EmailAddress.objects.filter(user=user).order_by("-primary", "email"))
    factors = Authenticator.objects.filter(user=user).values_list("type", flat=True)
    return {
        "memberships": Membership.objects.filter(user=user).select_related("instance"),
        "addresses": addresses or [EmailAddress(user=user, email=user.email, primary=True)],
        "sign_ins": SocialAccount.objects.filter(user=user).order_by("date_joined"),
        "affiliations": identity.vouched_affiliations(user),
        "back": Mail.objects.came_back(user.email).first(),
        "factors": set(factors),
        "lacks_second_factor": authority.lacks_second_factor(user),
        "sessions": UserSession.objects.filter(user=user).count(),
    }


@login_required
@never_cache
@require_safe
def data(request: HttpRequest) -> HttpResponse:
    """Everything that is kept about the person, as a file."""
    told = export.data_of(cast(User, request.user), now=timezone.now())
    text = json.dumps(told, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="my-data.json"'
    return response


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest) -> HttpResponse:
    """What deletion means; and deletion, for who has just shown to be the one."""
    user = cast(User, request.user)
    form = DeletionForm(request.POST if request.method == "POST" else None, user=user)
    if request.method == "POST":
        if not is_recent(request):
            return prove_presence(request)
        if form.is_valid() and _delete(request, user, form):
            return redirect("home")
    context = {
        "form": form,
        "alone": deletion.owned_alone(user),
        "running": Workload.objects.filter(owner=user).live().count(),
        "is_recent": is_recent(request),
    }
    return render(request, "accounts/delete.html", context, status=400 if form.errors else 200)


def _delete(request: HttpRequest, user: User, form: DeletionForm) -> bool:
    try:
        is_done = deletion.delete_account(user, now=timezone.now())
    except Refusal as refusal:
        form.add_error(None, refusal.message)
        return False
    request.session.flush()
    rest = "" if is_done else " Your labs are being stopped. The rest of your data will be deleted within minutes."
    messages.success(request, f"Your account has been deleted.{rest}")
    return True


@login_required
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End every session of the person, this one too."""
    deletion.sign_out_everywhere(cast(User, request.user))
    request.session.flush()
    messages.success(request, "You have been signed out everywhere.")
    return redirect("home")
