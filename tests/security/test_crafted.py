"""Names, repositories and numbers that somebody has thought about: refused with a sentence; past the site's check, still harmless."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from k8s.errors import Rejected
from labs.errors import Refusal
from labs.models import Lab
from labs.services.launch import launch
from labs.services.rendering import render
from tests.console.conftest import World

REPOSITORIES = [
    "--upload-pack=touch {marker}", "-u touch {marker}", "ext::sh -c touch% {marker}", "file:///etc", "/etc",
    "ssh://-oProxyCommand=touch%20{marker}/x", "git@example.org:x/y", "https://example.org/x\n--upload-pack=touch {marker}",
    "https://user:secret@example.org/x", "https://example.org/x?token=secret", "http://", "javascript:alert(1)",
    "https://example.org/$(touch {marker})\x00", "\\\\example.org\\x", "https://[::1", "https:///x",
]  # fmt: skip
NAMES = ["../x", "a.b", "A", "x" * 41, "-x", "x-", "1x", "xn--80ak6aa92e", "kube-system/x", "x\ny", "x y", "x;y", "${HOME}",
         "$(id)", "*", "ﬁne", "www", "аdmin", ""]  # fmt: skip


def values(**more: str) -> dict[str, str]:
    return {"name": "fine", "cpu": "1", "memory": "1024", "lifetime": "60", **more}


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_a_crafted_repository_is_refused(world: World, repository: str) -> None:
    with pytest.raises(Refusal) as refusal:
        launch(
            actor=world.people["member"], instance=world.mine.instance, template=world.template,
            values=values(repository=repository.format(marker="/tmp/x")), now=timezone.now(),
        )  # fmt: skip
    assert list(refusal.value.errors) == ["repository"]
    assert "secret" not in refusal.value.errors["repository"]


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_past_that_check_git_runs_nothing_of_it(world: World, repository: str, tmp_path: Path) -> None:
    """The arguments as they would stand in the pod, with the real git. A null character cannot be an argument at all."""
    marker = tmp_path / "marker"
    crafted = repository.format(marker=marker).replace("\0", "")
    lab = Lab.objects.get(pk=world.mine.lab.pk)
    lab.parameters = {"repository": crafted}
    pod = next(item for item in render(lab) if item["kind"] == "Pod")
    [clone] = pod["spec"]["initContainers"]
    arguments = [*clone["command"], *clone["args"]]
    assert arguments[3] == crafted
    assert arguments[4:] == ["--depth=1", "--", crafted, arguments[-1]]
    assert arguments[:2] == ["sh", "-c"]
    assert ".." not in arguments[-1]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": "false",
    }
    here = [word.replace("/home/jovyan", str(tmp_path / "home")) for word in arguments]
    if not crafted.startswith("http"):
        done = subprocess.run(here, env=environment, cwd=tmp_path, capture_output=True, timeout=20, check=False)
        assert done.returncode != 0
    assert not marker.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_crafted_name_is_refused(world: World, name: str) -> None:
    with pytest.raises(Refusal) as refusal:
        launch(
            actor=world.people["member"], instance=world.mine.instance, template=world.template,
            values=values(name=name), now=timezone.now(),
        )  # fmt: skip
    assert list(refusal.value.errors) == ["name"]


@pytest.mark.k8s
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("a.b", "www", "xn--80ak6aa92e", "x" * 41)])
def test_past_that_check_the_cluster_gives_it_no_host(held: SimpleNamespace, name: str) -> None:
    """A row with this name, as if written by hand. What is left out is an ordinary host name to Kubernetes."""
    made = launch(
        actor=held.member, instance=held.instance, template=held.template, values=values(name=f"lab-{uuid4().hex[:8]}"),
        now=timezone.now(),
    )  # fmt: skip
    made.name = name
    ingress = next(item for item in render(made) if item["kind"] == "Ingress")
    with pytest.raises(Rejected):
        held.site.apply(ingress)


def test_pages_of_many_rows_take_no_more_queries(world: World, django_assert_max_num_queries: Any) -> None:
    """Else one member with many labs could make a list slow for everybody who reads it."""
    from tests.factories import LabFactory

    client: Client = world.client("owner")
    client.get("/api/labs/")
    for number in (2, 30):
        for _ in range(number):
            LabFactory(instance=world.mine.instance, owner=world.people["member"], template=world.template)
        with django_assert_max_num_queries(6):
            assert len(client.get("/api/labs/").json()["results"]) > number
        with django_assert_max_num_queries(6):
            client.get("/api/instances/")
