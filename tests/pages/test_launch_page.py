"""The launch form: offered, checked while typed, refused in words, and nothing typed lost."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from labs.forms import minutes_of
from labs.models import Lab, Quota, State
from tests.factories import LabFactory

SignIn = Callable[[User], Client]
TYPED = {
    "name": "my-lab", "image": "jupyter/scipy-notebook:2023-10-20", "cpu": "2", "memory": "4", "lifetime": "3",
    "lifetime_unit": "hours", "repository": "", "password": "",
}  # fmt: skip
A100 = [{"name": "a100", "title": "A100 80 GB", "memory_gib": 80, "count": 2, "node_labels": {}}]


@pytest.fixture
def browser(world: SimpleNamespace, signed_in: SignIn) -> Client:
    return signed_in(world.member)


def value_of(page: str, name: str) -> str:
    tag = next(tag for tag in re.findall(r"<input[^>]*>", page) if f'name="{name}"' in tag)
    found = re.search(r'value="([^"]*)"', tag)
    return found[1] if found else ""


def test_what_is_typed_becomes_a_lab_in_the_services_units(world: SimpleNamespace, browser: Client) -> None:
    answer = browser.post(world.launch, TYPED)
    lab = Lab.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/labs/{lab.pk}/")
    assert (lab.name, lab.cpu_millis, lab.memory_mib, lab.lifetime_minutes) == ("my-lab", 2000, 4096, 180)


def test_nothing_typed_is_lost_but_the_password(world: SimpleNamespace, browser: Client) -> None:
    answer = browser.post(world.launch, TYPED | {"name": "Not A Name", "memory": "3.5", "password": "a secret word"})
    page = answer.text
    assert answer.status_code == 400
    assert not Lab.objects.exists()
    assert [value_of(page, name) for name in ("name", "cpu", "memory", "lifetime")] == ["Not A Name", "2", "3.5", "3"]
    assert "<option selected>hours" in page
    assert "a secret word" not in page
    assert "type the password again" in page


def test_too_much_is_refused_with_used_limit_and_asked(world: SimpleNamespace, browser: Client) -> None:
    LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING, cpu_millis=3000)
    page = browser.post(world.launch, TYPED).text
    assert "You have used 3 of your 4 CPUs; you asked for 2." in page
    assert "Wait in the queue" in page


def test_one_may_wait_in_the_queue_instead(world: SimpleNamespace, browser: Client) -> None:
    LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING, cpu_millis=3000)
    browser.post(world.launch, TYPED | {"wait": "1"})
    assert Lab.objects.get(name="my-lab").state == State.QUEUED


def test_what_can_never_fit_has_no_queue(world: SimpleNamespace, browser: Client) -> None:
    page = browser.post(world.launch, TYPED | {"cpu": "5"}).text
    assert "you asked for 5" in page
    assert "Wait in the queue" not in page


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("memory", "0.25", "At least 0.5 GiB; you asked for 0.25 GiB."),
        ("memory", "1.1", "In steps of 0.25 GiB."),
        ("lifetime", "40", "At most 1 day here; you asked for 40 hours."),
        ("lifetime", "9999", "At most 30 days; you asked for 9999 hours."),
        ("cpu", "many", "is not a number."),
        ("cpu", "NaN", "plain number"),
        ("image", "evil/image", "choose a value from the list"),
        ("repository", "ftp://x", "An address such as"),
    ],
)
def test_a_wrong_answer_is_explained_in_the_unit_it_was_typed_in(
    world: SimpleNamespace, browser: Client, field: str, value: str, sentence: str
) -> None:
    answer = browser.post(world.launch, TYPED | {field: value})
    assert (answer.status_code, sentence in answer.text) == (400, True)


def test_sliders_end_at_what_the_person_may_have(world: SimpleNamespace, browser: Client) -> None:
    page = browser.get(world.launch).text
    assert 'name="cpu" type="number" inputmode="decimal" min="0.25" max="4"' in page
    assert 'name="memory" type="number" inputmode="decimal" min="0.5" max="8"' in page
    assert "At most 1 day, including extensions." in page


def test_a_default_beyond_the_limit_is_not_offered(world: SimpleNamespace, browser: Client) -> None:
    Quota.objects.filter(scope="member").update(cpu_millis=500, memory_mib=1024, lifetime_minutes=30)
    page = browser.get(world.launch).text
    assert [value_of(page, name) for name in ("cpu", "memory", "lifetime")] == ["0.5", "1", "30"]


def test_there_is_no_question_about_gpus_where_there_are_none(world: SimpleNamespace, browser: Client) -> None:
    assert 'name="gpu"' not in browser.get(world.launch).text


def test_gpus_are_offered_up_to_the_limit_with_what_is_free(world: SimpleNamespace, browser: Client) -> None:
    cluster = world.instance.clusters.get()
    cluster.gpu_models = A100
    cluster.save()
    LabFactory(instance=world.instance, gpus=1, gpu_model="a100", state=State.RUNNING)
    page = browser.get(world.launch).text
    assert "1 × A100 80 GB (1 free now)" in page
    assert "2 × A100" not in page
    browser.post(world.launch, TYPED | {"gpu": "a100:1"})
    lab = Lab.objects.get(name="my-lab")
    assert (lab.gpus, lab.gpu_model) == (1, "a100")


def test_a_name_is_checked_while_it_is_typed(world: SimpleNamespace, browser: Client) -> None:
    LabFactory(instance=world.instance, name="taken")
    assert "Available." in browser.get(world.launch + "name/", {"name": "other"}).text
    answer = browser.get(world.launch + "name/", {"name": "taken"}).text
    assert "is taken. Please choose another" in answer
    assert 'data-take="taken-2"' in answer


def test_the_name_that_is_offered_is_free(world: SimpleNamespace, browser: Client) -> None:
    offered = value_of(browser.get(world.launch).text, "name")
    LabFactory(instance=world.instance, name=offered)
    assert value_of(browser.get(world.launch).text, "name") not in ("", offered)


def test_limits_follow_what_is_asked_for(world: SimpleNamespace, browser: Client) -> None:
    page = browser.get(world.launch + "limits/", {"cpu": "5", "memory": "2"}).text
    assert "0 + 5 of 4 cores" in page
    assert "meter over" in page
    assert "you asked for 5" in page
    assert browser.get(world.launch + "limits/", {"cpu": "x" * 99, "memory": "1e9999"}).status_code == 200


def test_the_password_is_never_part_of_an_address(world: SimpleNamespace, browser: Client) -> None:
    page = browser.get(world.launch).text
    tag = next(tag for tag in re.findall(r"<input[^>]*>", page) if 'name="password"' in tag)
    assert "data-ask" not in tag
    assert "hx-" not in tag
    assert 'hx-include="#launch [data-ask]"' in page
    assert '<form class="sheet" id="launch" method="post"' in page


def test_launch_again_brings_the_answers_and_more_memory_when_that_was_missing(
    world: SimpleNamespace, browser: Client
) -> None:
    lab = LabFactory(
        instance=world.instance, owner=world.member, name="big-fit", state=State.ENDED, end_reason="failed", memory_mib=2048,
        cpu_millis=1500, lifetime_minutes=90, parameters={"repository": "https://example.org/x.git"},
        diagnosis={"cause": "out-of-memory", "title": "The lab ran out of memory", "text": "", "next_step": "", "fatal": True},
    )  # fmt: skip
    link = re.search(r'href="([^"]*)">Launch again with 4 GiB<', browser.get("/labs/").text)
    assert link
    page = browser.get(link[1].replace("&amp;", "&")).text
    names = ("name", "cpu", "memory", "lifetime", "repository")
    assert [value_of(page, name) for name in names] == ["big-fit", "1.5", "4", "90", "https://example.org/x.git"]
    assert lab.name == "big-fit"


def test_another_persons_lab_is_not_copied(world: SimpleNamespace, browser: Client) -> None:
    lab = LabFactory(instance=world.instance, name="theirs", state=State.ENDED, cpu_millis=3000)
    assert value_of(browser.get(f"{world.launch}?like={lab.pk}").text, "cpu") == "1"


def test_lengths_of_time_are_read_in_their_unit() -> None:
    assert (minutes_of("1.5", "hours"), minutes_of("2", "days"), minutes_of("x", "days")) == ("90", "2880", "x")


def test_without_room_waiting_stands_with_the_reason_and_says_when(world: SimpleNamespace, browser: Client) -> None:
    running = LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING, cpu_millis=4000)
    form = {"name": "second", "cpu": "2", "memory": "2", "lifetime": "1", "lifetime_unit": "hours"}
    text = browser.post(world.launch, form).text
    button = '<button class="main" type="submit" form="launch" name="wait" value="1">Wait in the queue</button>'
    assert text.count("Wait in the queue") == 1
    assert text.index(button) < text.index('<form class="sheet" id="launch"')
    assert f'The next lab here ends by <time datetime="{running.expires_at.isoformat()}"' in text


def test_the_last_day_is_told_where_it_ends_the_lab(world: SimpleNamespace, browser: Client) -> None:
    for day, is_told in ((timezone.localdate() + datetime.timedelta(days=30), False), (timezone.localdate(), True)):
        world.instance.ends_on = day
        world.instance.save()
        said = f"Physics ends on {day:%-d %B %Y} at midnight, and your lab with it."
        assert (said in browser.get(world.launch).text) == is_told


def test_when_it_starts_is_told_before_the_form_is_filled_in(world: SimpleNamespace, browser: Client) -> None:
    world.instance.starts_on = datetime.date(2035, 3, 5)
    world.instance.save()
    assert "Physics starts on 5 March 2035." in browser.get(world.launch).text


def test_the_page_of_a_course_says_when_it_begins(world: SimpleNamespace, signed_in: SignIn) -> None:
    world.instance.starts_on = datetime.date(2035, 3, 5)
    world.instance.save()
    assert "starts on 5 March 2035." in signed_in(world.member).get(f"/i/{world.instance.slug}/").text
