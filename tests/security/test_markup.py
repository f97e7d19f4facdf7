"""Markup in every text that people and clusters write: shown as text on every page, and never a part of a script's expression."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from labs.admin.history import history_link
from labs.models import Cluster, EndReason, Event, State, Workload
from tests.console.conftest import World

MARK = "zzmark"
PAYLOAD = f"""{MARK}'"><script>{MARK}()</script><img src=x onerror={MARK}()>{{{{7*7}}}}');{MARK}();('"""
#: By which the console's library, or a browser, takes an attribute for a program.
PROGRAMS = ("x-", "@", ":", "on", "hx-on")


class Reader(HTMLParser):
    """What of the mark is not plain text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            program = name.startswith(PROGRAMS) or (
                name in ("href", "src", "action", "formaction") and "script:" in (value or "")
            )
            if MARK in name or (program and MARK in (value or "")) or (tag == "script" and MARK in (value or "")):
                self.found.append(f"<{tag} {name}={value!r}>")
        self.tag = tag

    def handle_data(self, data: str) -> None:
        if getattr(self, "tag", "") in ("script", "style") and MARK in data:
            self.found.append(data[:200])

    def handle_endtag(self, tag: str) -> None:
        self.tag = ""


def read(answer: Any) -> tuple[bool, list[str]]:
    """Whether the mark is on the page at all, and where it is more than text."""
    text = answer.content.decode()
    reader = Reader()
    reader.feed(text)
    return MARK in text, reader.found + ([f"<script>{MARK}"] if f"<script>{MARK}" in text else [])


@pytest.fixture
def written(world: World) -> World:
    """The payload in every text that somebody else writes: people, staff, administrators, the cluster, the lab."""
    User.objects.update(name=PAYLOAD[:150], affiliation=PAYLOAD)
    side = world.mine
    for name in ("title", "summary", "about", "footer"):
        setattr(side.instance, name, PAYLOAD[:120])
    side.instance.save()
    for row in (side.member, side.request):
        type(row).objects.filter(pk=row.pk).update(reason=PAYLOAD, decision_note=PAYLOAD)
    Cluster.objects.filter(instances=side.instance).update(title=PAYLOAD[:100], problem=PAYLOAD)
    Workload.objects.filter(pk=side.lab.pk).update(
        problem=PAYLOAD,
        image=PAYLOAD,
        parameters={"repository": f"https://example.org/{PAYLOAD}"},
        diagnosis={"cause": "x", "title": PAYLOAD, "text": PAYLOAD, "next_step": PAYLOAD, "fatal": False},
        steps=[{"title": PAYLOAD, "state": "done", "at": None, "note": PAYLOAD}],
        cluster_events=[{"at": "2026-01-01T00:00:00Z", "type": PAYLOAD, "reason": PAYLOAD, "message": PAYLOAD}],
        log_tail=PAYLOAD,
    )
    Event.objects.bulk_create(
        [Event(actor_name=PAYLOAD[:254], verb="launched", subject=PAYLOAD, instance=side.instance, workload_id=side.lab.pk,
               reason=PAYLOAD, before={PAYLOAD: PAYLOAD}, after={PAYLOAD: [PAYLOAD]})]
    )  # fmt: skip
    world.template.title, world.template.description = PAYLOAD[:100], PAYLOAD
    world.template.save()
    return world


def pages(world: World) -> list[str]:
    side = world.mine
    slug = side.instance.slug
    return [
        "/", "/labs/", "/labs/changes/", "/labs/history/", "/profile/", f"/i/{slug}/", f"/i/{slug}/launch/jupyterlab/",
        f"/i/{slug}/launch/jupyterlab/limits/", f"/labs/{side.lab.pk}/", f"/labs/{side.lab.pk}/live/",
        f"/labs/{side.lab.pk}/log/",
    ]  # fmt: skip


def console_pages(world: World) -> list[str]:
    side = world.mine
    rows = {
        "labs_instance": (side.instance, "archive"), "accounts_membership": (side.request, "approve"),
        "labs_lab": (side.lab, "stop"), "labs_quota": (side.personal, "delete"), "labs_event": (Event.objects.latest("pk"), "change"),
        "labs_cluster": (side.instance.clusters.get(), "change"), "accounts_user": (side.owner, "change"),
        "labs_servicetemplate": (world.template, "change"),
    }  # fmt: skip
    links = [reverse("admin:index")]
    for model, (row, more) in rows.items():
        links += [reverse(f"admin:{model}_changelist"), reverse(f"admin:{model}_changelist") + "?q=zzmark"]
        links += [
            reverse(f"admin:{model}_{page}", args=[row.pk])
            for page in {"change", more, *(["history"] if history_link(row) else [])}
        ]
    return [
        *links,
        reverse("admin:labs_quota_add"),
        reverse("admin:labs_instance_add"),
        reverse("admin:labs_lab_log", args=[side.lab.pk]),
    ]


def check(client: Client, links: list[str]) -> set[str]:
    """Read the pages; which of them show the mark."""
    shown = set()
    for link in links:
        answer = client.get(link, follow=True)  # the history of a row is a list of ours
        assert answer.status_code in (200, 204), link
        there, found = read(answer)
        assert not found, (link, found)
        if there:
            shown.add(link)
    return shown


@pytest.mark.parametrize("is_over", [False, True])
def test_pages_show_it_as_text(written: World, is_over: bool) -> None:
    if is_over:
        Workload.objects.filter(pk=written.mine.lab.pk).update(
            state=State.ENDED, end_reason=EndReason.FAILED, ended_at=written.mine.lab.created_at
        )
    shown = check(written.client("member"), pages(written))
    assert len(shown) >= 8
    check(Client(), ["/", f"/i/{written.mine.instance.slug}/"])


def test_the_console_shows_it_as_text(written: World) -> None:
    Workload.objects.filter(pk=written.mine.lab.pk).update(
        state=State.ENDED, end_reason=EndReason.FAILED, ended_at=written.mine.lab.created_at
    )
    shown = check(
        written.client("administrator"), [link for link in console_pages(written) if not link.endswith("/stop/")]
    )
    assert len(shown) >= 20


def test_messages_of_the_console_show_it_as_text(written: World) -> None:
    client = written.client("owner")
    url = reverse("admin:accounts_membership_approve", args=[written.mine.request.pk])
    there, found = read(client.post(url, {"word": PAYLOAD}, follow=True))
    assert there
    assert not found


def test_what_was_typed_comes_back_as_text(written: World) -> None:
    """In the form, with the answers that were refused; the password never comes back."""
    slug = written.mine.instance.slug
    values = dict.fromkeys(
        ("name", "cpu", "memory", "lifetime", "lifetime_unit", "image", "repository", "gpu"), PAYLOAD
    )
    client = written.client("member")
    answer = client.post(f"/i/{slug}/launch/jupyterlab/", {**values, "password": "s3cret-pass-phrase"})
    there, found = read(answer)
    assert answer.status_code == 400
    assert there
    assert not found
    assert "s3cret-pass-phrase" not in answer.text
    for link in (
        f"/i/{slug}/launch/jupyterlab/name/?name={PAYLOAD}",
        f"/i/{slug}/launch/jupyterlab/limits/?cpu={PAYLOAD}",
    ):
        assert not read(client.get(link))[1]
