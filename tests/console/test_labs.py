"""Labs: seen and stopped by those who run the instance, changed by nobody."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.urls import reverse

from labs.models import EndReason, Event, Lab, State, Verb
from tests.factories import EventFactory, LabFactory

from .conftest import World


def page(lab: Lab, name: str = "change") -> str:
    return reverse(f"admin:labs_lab_{name}", args=[lab.pk])


@pytest.mark.parametrize("role", ["staff", "owner", "administrator"])
def test_a_lab_is_stopped_after_a_question(world: World, role: str) -> None:
    client, lab = world.client(role), world.mine.lab
    assert client.get(page(lab, "stop")).status_code == 200
    lab.refresh_from_db()
    assert lab.state == State.RUNNING
    client.post(page(lab, "stop"), {"word": "too long"})
    lab.refresh_from_db()
    assert (lab.state, lab.end_reason) == (State.STOPPING, EndReason.STAFF)
    event = Event.objects.get(verb=Verb.STOPPING)
    assert (event.actor, event.reason) == (world.people[role], "too long")


@pytest.mark.parametrize("role", ["anonymous", "member", "suspended", "other owner"])
def test_nobody_else_stops_it_here(world: World, role: str) -> None:
    world.client(role).post(page(world.mine.lab, "stop"))
    world.mine.lab.refresh_from_db()
    assert world.mine.lab.state == State.RUNNING


def test_many_are_stopped_after_a_question_and_foreign_ones_never(world: World) -> None:
    url, client = reverse("admin:labs_lab_changelist"), world.client("staff")
    data = {"action": "stop_selected", "_selected_action": [world.mine.lab.pk, world.theirs.lab.pk]}
    assert client.post(url, data).status_code == 200
    client.post(url, data | {"confirmed": "yes"})
    world.mine.lab.refresh_from_db()
    world.theirs.lab.refresh_from_db()
    assert (world.mine.lab.state, world.theirs.lab.state) == (State.STOPPING, State.RUNNING)


def test_stopping_too_often_is_said_and_stops_nothing(world: World, settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 1)
    client, second = world.client("staff"), LabFactory(instance=world.mine.instance, state=State.RUNNING)
    client.post(page(world.mine.lab, "stop"), {"word": ""})
    answer = client.post(page(second, "stop"), {"word": ""}, follow=True)
    assert "You have stopped labs once within an hour, which is the limit." in answer.content.decode()
    second.refresh_from_db()
    assert second.state == State.RUNNING


def test_the_question_says_how_many_labs_of_how_many_people(world: World) -> None:
    url, client = reverse("admin:labs_lab_changelist"), world.client("staff")
    more = [LabFactory(instance=world.mine.instance, owner=world.mine.lab.owner, state=State.RUNNING) for _ in range(2)]
    more.append(LabFactory(instance=world.mine.instance, state=State.RUNNING))
    chosen = [lab.pk for lab in (world.mine.lab, *more)]
    page_of_many = client.post(url, {"action": "stop_selected", "_selected_action": chosen}).text
    assert "Stop 4 labs of 2 people?" in page_of_many
    assert f"Stop {world.mine.lab.name}?" in client.get(page(world.mine.lab, "stop")).text


@pytest.mark.parametrize("role", ["staff", "owner", "administrator"])
def test_nothing_of_a_lab_is_changed_by_a_forged_post(world: World, role: str) -> None:
    data = {"name": "forged", "state": "ended", "cpu_millis": "1", "lifetime_minutes": "999999"}
    assert world.client(role).post(page(world.mine.lab), data).status_code == 403
    before, after = world.mine.lab, Lab.objects.get(pk=world.mine.lab.pk)
    assert (after.name, after.state, after.lifetime_minutes) == (before.name, before.state, before.lifetime_minutes)


def test_the_page_tells_why_it_does_not_start(world: World) -> None:
    lab = LabFactory(
        instance=world.mine.instance,
        state=State.STARTING,
        diagnosis={
            "cause": "image",
            "title": "The image cannot be fetched",
            "text": "It is not there.",
            "next_step": "Choose another.",
            "fatal": True,
            "technical": "ErrImagePull: rpc error",
        },
        steps=[{"title": "Place found", "state": "done", "at": "2024-05-01T10:00:00Z", "note": ""}],
        cluster_events=[{"at": "2024-05-01T10:00:01Z", "type": "Warning", "reason": "Failed", "message": "<b>not found</b>"}],
    )  # fmt: skip
    EventFactory(workload=lab, verb=Verb.LAUNCHED, actor=None, actor_name="somebody@example.org")
    text = world.client("staff").get(page(lab)).content.decode()
    for part in (
        "The image cannot be fetched",
        "Choose another.",
        "ErrImagePull: rpc error",
        "Place found",
        "10:00:00",
        "somebody@example.org launched",
    ):
        assert part in text
    assert "&lt;b&gt;not found" in text


@pytest.mark.parametrize(
    ("which", "wanted"),
    [("", {"running"}), ("now", {"running"}), ("failed", {"failed"}), ("all", {"running", "failed", "over"})],
)
def test_the_list_shows_what_is_there_unless_asked_otherwise(world: World, which: str, wanted: set[str]) -> None:
    Lab.objects.filter(pk=world.mine.lab.pk).update(gpu_model="")
    LabFactory(instance=world.mine.instance, state=State.ENDED, end_reason=EndReason.FAILED, name="failed")
    LabFactory(instance=world.mine.instance, state=State.ENDED, name="over")
    rows = (
        world.client("owner")
        .get(reverse("admin:labs_lab_changelist"), {"which": which} if which else {})
        .context["cl"]
        .result_list
    )
    assert {"running" if row.state == State.RUNNING else row.name for row in rows} == wanted


def test_the_log_of_a_lab_that_is_over_is_what_was_kept(world: World) -> None:
    lab = LabFactory(instance=world.mine.instance, state=State.ENDED, log_tail="<i>the last line</i>")
    text = world.client("staff").get(page(lab, "log")).content.decode()
    assert "&lt;i&gt;the last line" in text


def test_what_the_list_of_labs_leaves_out_is_in_view(world: World) -> None:
    url, client = reverse("admin:labs_lab_changelist"), world.client("staff")
    LabFactory(instance=world.mine.instance, state=State.ENDED, name="over")

    def tabs(**asked: str) -> dict[str, str]:
        text = client.get(url, asked).text
        found = re.findall(
            r'<a href="([^"]*)"( aria-current="true")?>([^<]*)</a>', text[text.index('class="c-tabs"') :]
        )
        chosen = [title for _, is_chosen, title in found if is_chosen]
        assert len(chosen) == 2, chosen
        return {title: html.unescape(link) for link, _, title in found} | {"chosen": ", ".join(chosen)}

    assert tabs()["chosen"] == "Now, Any time"
    assert tabs(which="starting")["chosen"] == "Starting or waiting, Any time"
    shown = tabs(which="failed", period="week", q="ov")
    assert shown["chosen"] == "Failed, 7 days"
    for title in ("Now", "Failed", "Ended", "All"):
        assert "period=week" in shown[title]
        assert "q=ov" in shown[title]
    assert "over" in client.get(url + shown["Ended"]).text
    assert "period" not in shown["Any time"]
