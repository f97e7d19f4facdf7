"""The launch form: offered, checked while it is filled in, and sent."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import cast

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from accounts.rules import authority
from labs.errors import Refusal
from labs.forms import LaunchForm, answers_of, offered
from labs.models import Instance, Lab, ServiceTemplate
from labs.services import admission, names
from labs.services.launch import CAN_WAIT, KEY, when_open
from labs.services.launch import launch as launch_lab
from labs.services.overview import next_end
from labs.services.placement import clusters_of

View = Callable[[HttpRequest, Instance, ServiceTemplate], HttpResponse]


def for_members(view: View) -> Callable[[HttpRequest, str, str], HttpResponse]:
    """The view with the instance and its service; those who are not in it are sent to the instance's page."""

    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, slug: str, service: str) -> HttpResponse:
        if not request.user.is_authenticated:
            # The page's script has kept what was sent, and gives it back to a page that is opened "again".
            return redirect_to_login(f"{request.path}?again=1" if request.method == "POST" else request.get_full_path())
        user = request.user
        instance = get_object_or_404(Instance.objects.visible_to(user), slug=slug)
        template = get_object_or_404(instance.services.filter(is_current=True), slug=service)
        if not authority.can_launch(user, instance):
            messages.info(request, f"You need access to {instance} to launch a lab here.")
            return redirect(instance)
        return view(request, instance, template)

    return wrapped


@for_members
@require_http_methods(["GET", "HEAD", "POST"])
def launch(request: HttpRequest, instance: Instance, template: ServiceTemplate) -> HttpResponse:
    user = cast(User, request.user)
    if request.method != "POST":
        form = LaunchForm(template, instance, user)
        form.typed = offered(form, names.default_name(form.clusters, user)) | _like(request, form)
        form.typed["key"] = uuid.uuid4().hex
        return _page(request, form)
    form = LaunchForm(template, instance, user, request.POST.dict())
    wait, key = "wait" in request.POST, form.typed.get("key", "")
    try:
        lab = launch_lab(
            actor=user, instance=instance, template=template, values=form.values(), now=timezone.now(), wait=wait,
            key=key if KEY.fullmatch(key) else "",
        )  # fmt: skip
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(request, form, refusal)
    return redirect(lab)


@for_members
@require_safe
def check_name(request: HttpRequest, instance: Instance, template: ServiceTemplate) -> HttpResponse:
    """Whether a name is free, while it is typed."""
    answer = names.check_name(clusters_of(instance), request.GET.get("name", "").strip(), cast(User, request.user))
    return render(request, "labs/fields/name_answer.html", {"answer": answer})


@for_members
@require_safe
def meters(request: HttpRequest, instance: Instance, template: ServiceTemplate) -> HttpResponse:
    """What the person's limits look like with what is asked for."""
    form = LaunchForm(template, instance, cast(User, request.user), request.GET.dict())
    return render(request, "labs/launch_aside.html", _aside(form))


def _page(request: HttpRequest, form: LaunchForm, refusal: Refusal | None = None) -> HttpResponse:
    answer = names.check_name(form.clusters, form.typed.get("name", ""), form.user)
    if refusal and not answer.ok:
        form.errors.setdefault("name", answer.message)
    can_wait = bool(refusal and refusal.code in CAN_WAIT and not refusal.errors) and form.room.fits_at_all(form.ask())
    context = {
        "instance": form.instance,
        "template": form.template,
        "form": form,
        "fields": form.fields(),
        "refusal": refusal,
        "can_wait": can_wait,
        "next_end": next_end(form.instance) if can_wait else None,
        "answer": answer,
        "closed": when_open(form.instance, timezone.now()),
    }
    return answered(render(request, "labs/launch.html", context | _aside(form)), refusal)


def answered(page: HttpResponse, refusal: Refusal | None) -> HttpResponse:
    """The page with the status that belongs to what was refused."""
    if refusal:
        page.status_code = 429 if refusal.retry_after else 400
        if refusal.retry_after:
            page["Retry-After"] = str(refusal.retry_after)
    return page


def _aside(form: LaunchForm) -> dict[str, object]:
    """The person's meters, the instance's where they would be passed, and why it does not fit if it does not."""
    ask = form.ask()
    whole = [meter for meter in admission.instance_meters(form.instance, ask) if meter.over]
    context: dict[str, object] = {
        "meters": admission.member_meters(form.instance, form.user, ask),
        "whole": whole,
        "instance": form.instance,
        "template": form.template,
    }
    try:
        form.room.check_room(ask)
    except Refusal as refusal:
        context["no_room"] = refusal.message
    return context


def _like(request: HttpRequest, form: LaunchForm) -> dict[str, str]:
    """The answers of one of the person's earlier labs, if that was asked for; its name too if it is free."""
    try:
        pk = uuid.UUID(request.GET.get("like", ""))
    except ValueError:
        return {}
    lab = Lab.objects.visible_to(form.user).filter(pk=pk, owner=form.user, instance=form.instance).first()
    if lab is None:
        return {}
    answer = names.check_name(form.clusters, lab.name, form.user)
    name = lab.name if answer.ok else answer.suggestion
    return answers_of(lab, more_memory=request.GET.get("more") == "memory") | {"name": name}
