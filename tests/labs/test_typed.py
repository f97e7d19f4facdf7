"""Answers as people type and paste them."""

from __future__ import annotations

import datetime
import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from k8s.resources import duration
from labs.forms import LaunchForm, minutes_of
from labs.models import MachineSnapshot
from labs.services import names
from labs.services.placement import largest_machine, places
from labs.services.refusals import range_in_words
from labs.services.rendering import render
from tests.factories import UserFactory
from tests.labs.test_launch import launched, refused

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("https://github.com/u/p/tree/main/some/dir", ("https://github.com/u/p", "main", "some/dir")),
        ("https://github.com/u/p/tree/week%2F3/", ("https://github.com/u/p", "week/3", "")),
        ("https://github.com/u/p/blob/main/a%20b.ipynb?plain=1#L3", ("https://github.com/u/p", "main", "a b.ipynb")),
        ("https://github.com/u/p/blob/refs/heads/main/a.py", ("https://github.com/u/p", "main", "a.py")),
        (
            "https://gitlab.example.org/g/sub/p/-/tree/main/dir?ref_type=heads",
            ("https://gitlab.example.org/g/sub/p", "main", "dir"),
        ),
        ("https://codeberg.org/u/p/src/branch/main/dir", ("https://codeberg.org/u/p", "main", "dir")),
        ("https://bitbucket.org/u/p/src/main/", ("https://bitbucket.org/u/p", "main", "")),
    ],
)
def test_the_address_of_a_branch_or_folder_copies_it_and_opens_there(
    world: SimpleNamespace, typed: str, place: tuple[str, str, str]
) -> None:
    lab = launched(world, repository=typed)
    repository, branch, path = place
    secret, pod, *_ = render(lab)
    arguments = pod["spec"]["initContainers"][0]["args"]
    assert arguments == ["--depth=1", f"--branch={branch}", "--", repository, "/home/jovyan/p"]
    opens = json.loads(secret["stringData"]["jupyter_server_config.json"])["LabApp"].get("default_url")
    assert opens == (f"/lab/tree/p/{quote(path)}" if path else None)
    # Launched again with what is kept of it, it is the same.
    again = launched(world, name="again", repository=lab.parameters["repository"])
    assert again.parameters == lab.parameters


@pytest.mark.parametrize(
    ("typed", "branch"),
    [
        ("https://github.com/u/p/pull/3", "https://github.com/u/p/tree/"),
        ("https://github.com/u/p/commit/0123abc", "https://github.com/u/p/tree/"),
        (f"https://github.com/u/p/blob/{'0a' * 20}/a.py", "https://github.com/u/p/tree/"),
        ("https://github.com/u/p/tree/-upload/x", "https://github.com/u/p/tree/"),
        ("https://github.com/u/p/tree/main/%2e%2e/x", "https://github.com/u/p/tree/"),
        ("https://gitlab.example.org/g/p/-/issues/3", "https://gitlab.example.org/g/p/-/tree/"),
    ],
)
def test_a_page_of_something_else_is_refused_with_the_address_to_use(
    world: SimpleNamespace, typed: str, branch: str
) -> None:
    said = refused(world, repository=typed).errors["repository"]
    whole = branch.removesuffix("tree/").removesuffix("-/").rstrip("/")
    assert f"Use {whole} for the default branch, or {branch} followed by the name of another branch." in said


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://github.com/u/p", "https://github.com/u/p"),
        ("https://github.com/u/p.git/", "https://github.com/u/p.git"),
        ("https://github.com/tree/blob", "https://github.com/tree/blob"),
        ("https://gitlab.example.org/group/sub/src", "https://gitlab.example.org/group/sub/src"),
        ("https://gitlab.example.org/group/sub/src/p.git", "https://gitlab.example.org/group/sub/src/p.git"),
        ("https://gist.github.com/u/0123456789abcdef0123", "https://gist.github.com/0123456789abcdef0123.git"),
        ("https://gist.github.com/0123456789abcdef0123.git", "https://gist.github.com/0123456789abcdef0123.git"),
    ],
)
def test_what_can_be_cloned_is_kept(world: SimpleNamespace, typed: str, kept: str) -> None:
    assert launched(world, repository=typed).parameters["repository"] == kept


@pytest.mark.parametrize("typed", ["https://gist.github.com/u", "https://raw.githubusercontent.com/u/p/main/a.ipynb"])
def test_what_is_no_repository_is_refused(world: SimpleNamespace, typed: str) -> None:
    assert "repository" in refused(world, repository=typed).errors


def test_a_decimal_comma_is_a_decimal_point(world: SimpleNamespace) -> None:
    assert launched(world, cpu="1,5").cpu_millis == 1500
    assert minutes_of("1,5", "hours") == "90"
    assert refused(world, name="other", cpu="1,500").errors["cpu"] == "'1,500' is not a number. Write it like 2 or 1.5."


@pytest.mark.parametrize("name", ["cpu", "memory", "lifetime"])
def test_an_empty_number_is_not_silently_another(world: SimpleNamespace, name: str) -> None:
    assert refused(world, **{name: ""}).errors == {name: f"{name.capitalize().replace('Cpu', 'CPU')} is required."}
    form = LaunchForm(world.template, world.instance, world.member, {"name": "a", name: "", "gpu": ""})
    assert form.values() == {"name": "a", name: "", "gpus": "0", "gpu_model": ""}


def test_no_time_at_all_is_told_in_minutes(world: SimpleNamespace) -> None:
    found = refused(world, lifetime="0").ranges["lifetime"]
    assert (found.bound, found.amount, found.asked) == ("least", 1, "0")
    assert range_in_words(found) == "At least 1 minute; you asked for 0 minutes."
    assert duration(0) == "0 minutes"


def test_when_it_starts_is_told(world: SimpleNamespace) -> None:
    world.instance.starts_on = datetime.date(2035, 3, 5)
    world.instance.save()
    assert refused(world).message == f"{world.instance} starts on 5 March 2035. You can launch labs from that day."


def test_labs_of_numeric_addresses_can_be_told_apart(world: SimpleNamespace) -> None:
    clusters = list(world.instance.clusters.all())
    person = UserFactory(email="4711@uni.example")
    assert names.default_name(clusters, person) == "lab-4711"
    assert names.free_name(clusters, "4711-week-3", person) == "lab-4711-week-3"


def test_no_more_is_offered_than_a_machine_has(world: SimpleNamespace) -> None:
    place = world.instance.places.get()
    assert largest_machine(places(world.instance), "cpu_millis") is None
    allocatable = {"cpu": 2000, "memory": 7000, "pods": 10}
    machine = {
        "name": "a",
        "labels": {},
        "allocatable": allocatable,
        "requested": {"cpu": 300},
        "ours": {},
        "taints": [],
    }
    MachineSnapshot.objects.create(cluster=place.cluster, at=world.now, machines=[machine])
    assert largest_machine(places(world.instance), "cpu_millis") == 1700
    form = LaunchForm(world.template, world.instance, world.member, {})
    highest = {field.name: field.high for field in form.fields() if field.kind == "amount"}
    assert highest == {"cpu": "1.5", "memory": "6.75"}
