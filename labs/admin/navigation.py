"""The sidebar, in plain words."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.models import Membership, Status
from labs.access import reach

WAITING = f"?status__exact={Status.REQUESTED}"


def waiting_count(request: HttpRequest) -> int:
    """Requests that wait for this person; counted once a request."""
    known: int | None = getattr(request, "_console_waiting", None)
    if known is None:
        known = Membership.objects.decidable_by(request.user).count()
        request._console_waiting = known  # type: ignore[attr-defined]
    return known


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links for unfold; those of the site itself only for its administrators."""
    groups: list[dict[str, Any]] = [{"title": "", "items": _daily(request)}]
    if reach(request).is_administrator:
        groups.append({"title": "Site", "separator": True, "items": _site(request)})
    return groups


QUEUE = {
    "django_q_failure": "Failed", "django_q_ormq": "Waiting", "django_q_success": "Done", "django_q_schedule": "Scheduled",
}  # fmt: skip
MAIL = {"accounts_mail": "E-mails", "accounts_letter": "Messages", "accounts_mailtemplate": "Texts"}


def tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages of the queue side by side, and those of mail."""
    own = reach(request).owns_any
    return [_tabs(request, QUEUE), _tabs(request, MAIL if own else {"accounts_letter": MAIL["accounts_letter"]})]


def _tabs(request: HttpRequest, pages: dict[str, str]) -> dict[str, Any]:
    items = [_item(request, title, "", name) for name, title in pages.items()]
    return {"models": [name.replace("_", ".").replace("django.q", "django_q") for name in pages], "items": items}


def _daily(request: HttpRequest) -> list[dict[str, Any]]:
    members = reverse("admin:accounts_membership_changelist")
    in_waiting = request.path == members and request.GET.get("status__exact") == Status.REQUESTED
    waiting = waiting_count(request)
    requests: dict[str, Any] = {
        "title": "Access requests",
        "icon": "how_to_reg",
        "link": members + WAITING,
        "active": in_waiting,
    }
    if waiting:
        requests |= {"badge": str(waiting), "badge_variant": "primary", "badge_style": "solid"}
    people = _item(request, "Members", "group", "accounts_membership")
    people["active"] = people["active"] and not in_waiting
    mail = _item(request, "E-mail", "mail", "accounts_mail" if reach(request).owns_any else "accounts_letter")
    mail["active"] = any(_item(request, "", "", name)["active"] for name in MAIL)
    return [
        _link(request, "Overview", "home", reverse("admin:index")),
        requests,
        people,
        *([mail] if reach(request).writes_any else []),
        _item(request, "Labs", "science", "labs_lab"),
        _item(request, "Limits", "speed", "labs_quota"),
        _item(request, "Instances", "school", "labs_instance"),
        _item(request, "History", "history", "labs_event"),
    ]


def _site(request: HttpRequest) -> list[dict[str, Any]]:
    queue = reverse("admin:django_q_failure_changelist")
    return [
        _item(request, "Clusters", "dns", "labs_cluster"),
        _item(request, "Services", "widgets", "labs_servicetemplate"),
        _item(request, "People", "person", "accounts_user"),
        {"title": "Queue", "icon": "low_priority", "link": queue, "active": "/django_q/" in request.path},
    ]


def _item(request: HttpRequest, title: str, icon: str, model: str) -> dict[str, Any]:
    link = reverse(f"admin:{model}_changelist")
    return {"title": title, "icon": icon, "link": link, "active": request.path.startswith(link)}


def _link(request: HttpRequest, title: str, icon: str, link: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link, "active": request.path == link}
