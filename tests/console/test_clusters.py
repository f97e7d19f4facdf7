"""Clusters in the console: connected and tested by site administrators; a kubeconfig goes in and never comes out."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from k8s.errors import Unavailable
from labs.errors import Refusal
from labs.models import Cluster, Event, State, Verb
from labs.services import clusters, sweep, vault
from mlsite.env import NamedFile
from tests.factories import ClusterFactory, InstanceFactory, LabFactory
from tests.k8s.scripted import Answer, serving
from tests.support.kubeconfigs import named

from .conftest import World, form_data

ADD = reverse("admin:labs_cluster_add")
BASE = {
    "title": "Cloud", "slug": "cloud", "rank": "10", "is_open": "on", "connection": "stored", "lab_domain": "cloud.example.org",
    "lab_scheme": "https", "ingress_controller": "ingress-nginx", "ingress_annotations": "{}", "gpu_models": "[]",
    "storage_classes": "fast, slow",
}  # fmt: skip
TOKEN = "a-token-that-nobody-may-see"


def pasted(**user: Any) -> str:
    return json.dumps(
        {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "x", "user": user or {"token": TOKEN}}],
        }
    )


def page(cluster: Cluster, name: str = "change") -> str:
    return reverse(f"admin:labs_cluster_{name}", args=[cluster.pk])


def test_a_pasted_kubeconfig_is_kept_encrypted_and_shown_nowhere(
    world: World, django_capture_on_commit_callbacks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = world.client("administrator")
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(ADD, BASE | {"kubeconfig": pasted()}).status_code == 302
    row = Cluster.objects.get(slug="cloud")
    assert TOKEN in vault.open(row.kubeconfig_sealed)
    assert row.storage_classes == ["fast", "slow"]
    event = Event.objects.get(verb=Verb.CLUSTER_CHANGED)
    assert event.after["kubeconfig"] == "changed"
    texts = [str(vars(item)) for item in [*Event.objects.all(), *LogEntry.objects.all()]]
    texts += [str(task.task) for task in OrmQ.objects.all()] + [caplog.text]
    texts += [
        client.get(url).content.decode() for url in (page(row), page(row, "history"), page(row, "test_connection"))
    ]
    assert not [text for text in texts if TOKEN in text or row.kubeconfig_sealed in text]
    assert TOKEN not in str(vars(row))
    assert "One is stored" in client.get(page(row)).content.decode()


LOGIN = json.dumps({"auths": {"registry.example.org": {"username": "robot", "password": TOKEN}}})


def test_a_login_of_a_registry_is_kept_encrypted_shown_nowhere_and_forgotten_when_asked(
    world: World, django_capture_on_commit_callbacks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = world.client("administrator")
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(ADD, BASE | {"kubeconfig": pasted(), "login": LOGIN}).status_code == 302
    row = Cluster.objects.get(slug="cloud")
    auth = json.loads(clusters.registry_login(row))["auths"]["registry.example.org"]["auth"]
    texts = [str(vars(item)) for item in [*Event.objects.all(), *LogEntry.objects.all()]]
    texts += [str(task.task) for task in OrmQ.objects.all()] + [caplog.text]
    texts += [client.get(url).content.decode() for url in (page(row), page(row, "history"))]
    assert not [text for text in texts if auth in text or TOKEN in text or row.registry_sealed in text]
    assert Event.objects.get(verb=Verb.CLUSTER_CHANGED).after["registry login"] == "changed"

    client.post(page(row), form_data(client, page(row)) | {"title": "Renamed"})
    assert Cluster.objects.get(slug="cloud").registry_sealed == row.registry_sealed
    client.post(page(row), form_data(client, page(row)) | {"forget_login": "on"})
    assert Cluster.objects.get(slug="cloud").registry_sealed == ""
    assert Event.objects.filter(verb=Verb.CLUSTER_CHANGED, after={"registry login": "none"}).exists()


def test_a_login_that_is_none_is_refused(world: World) -> None:
    answer = world.client("administrator").post(ADD, BASE | {"kubeconfig": pasted(), "login": f'"{TOKEN}"'})
    text = answer.content.decode()
    assert "It has no logins" in text
    assert TOKEN not in text


def test_saving_without_a_paste_keeps_the_one_that_is_there(world: World) -> None:
    client = world.client("administrator")
    client.post(ADD, BASE | {"kubeconfig": pasted()})
    row = Cluster.objects.get(slug="cloud")
    assert client.post(page(row), form_data(client, page(row)) | {"title": "Renamed"}).status_code == 302
    again = Cluster.objects.get(slug="cloud")
    assert (again.title, again.kubeconfig_sealed) == ("Renamed", row.kubeconfig_sealed)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (pasted(exec={"command": "/bin/sh"}), "Not allowed here: exec"),
        (pasted(tokenFile="/etc/passwd"), "Not allowed here: tokenFile"),
        (pasted(**{"client-key": "/etc/passwd", "client-certificate": "/x"}), "Not allowed here: client-certificate"),
        (pasted(username="x"), "neither a token nor a certificate"),
        (pasted().replace("https://", "http://"), "starts with https://"),
        (pasted().replace('"current-context": "x"', '"current-context": "y"'), "refers to something that is missing"),
        ("[1, 2", "not YAML"),
        ("just a text", "not a kubeconfig"),
        ("users: {a: 1}", "malformed"),
    ],
)
def test_a_kubeconfig_that_is_not_complete_in_itself_is_refused_and_not_sent_back(
    world: World, text: str, sentence: str
) -> None:
    answer = world.client("administrator").post(ADD, BASE | {"kubeconfig": text})
    shown = answer.content.decode()
    assert sentence in shown
    assert TOKEN not in shown
    assert "/etc/passwd" not in shown
    assert not Cluster.objects.filter(slug="cloud").exists()


def test_a_connection_of_the_third_kind_needs_a_kubeconfig(world: World) -> None:
    assert "Paste a kubeconfig" in world.client("administrator").post(ADD, BASE).content.decode()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"gateway": "labs"}, "Namespace and name"),
        ({"gateway": "gateways/labs", "tls_secret": "wildcard"}, "leave the Secret and the issuer empty"),
        ({"tls_secret": "wildcard", "cluster_issuer": "letsencrypt"}, "not both"),
        ({"ingress_controller": "contour"}, "no default certificate"),
        ({"ingress_networks": "10.42.0.0/16, 0.0.0.0/1"}, "0.0.0.0/1 is too large"),
        ({"ingress_networks": "the machines"}, "Networks such as"),
        ({"ingress_networks": "fe80::1%eth0"}, "is not a valid network"),
        ({"name_servers": "169.254.20.10/24"}, "Networks such as"),
        ({"name_servers": "0.0.0.0/0"}, "0.0.0.0/0 is too large"),
        ({"name_servers": "::ffff:0:0/96"}, "is not a valid network"),
        ({"gpu_models-lines": "1", "gpu_models-0-title": "A100"}, "Each model needs a name"),
        ({"gpu_models-lines": "2", "gpu_models-1-count": "many"}, "GPU model 1: “Count” must be a whole number"),
        ({"gpu_models-lines": "1", "gpu_models-0-node_labels": "A100"}, "write labels as name=value"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(world: World, more: dict[str, str], sentence: str) -> None:
    answer = world.client("administrator").post(ADD, BASE | {"kubeconfig": pasted()} | more)
    assert sentence in answer.content.decode()
    assert not Cluster.objects.filter(slug="cloud").exists()


@pytest.mark.parametrize("role", ["member", "staff", "owner"])
def test_clusters_are_for_site_administrators(world: World, role: str) -> None:
    row, client = ClusterFactory(), world.client(role)
    for url in (ADD, page(row), page(row, "test_connection"), reverse("admin:labs_cluster_changelist")):
        assert client.get(url).status_code in (403, 404), url
    assert client.post(page(row, "test_connection")).status_code in (403, 404)


def test_a_test_of_the_connection_asks_first_and_then_tells_what_is_missing(
    world: World, embedded_kubeconfig: str
) -> None:
    row = ClusterFactory(
        connection="file", kubeconfig_file=named(embedded_kubeconfig), ingress_class="nginx", gpu_models=[{"name": "a100", "count": 2}],
        storage_classes=["fast"], lab_scheme="http",
    )  # fmt: skip
    client = world.client("administrator")
    assert "Nothing is changed" in client.get(page(row, "test_connection")).content.decode()
    row.refresh_from_db()
    assert row.last_seen_at is None
    shown = client.post(page(row, "test_connection")).content.decode()
    for sentence in (
        "The cluster responds: Kubernetes", "Its clock matches", "all the permissions that it needs", "There is no ingress class “nginx”",
        "There is no storage class “fast”", "0 GPUs of a100 on 0 nodes", "It has 0 nodes",
    ):  # fmt: skip
        assert sentence in shown, sentence
    row.refresh_from_db()
    assert row.last_seen_at
    assert not row.problem


def test_a_cluster_that_does_not_answer_is_said_to_be_silent(world: World) -> None:
    row = ClusterFactory(connection="stored", kubeconfig_sealed=vault.seal(pasted()))
    shown = world.client("administrator").post(page(row, "test_connection")).content.decode()
    assert "The cluster is not responding" in shown
    assert TOKEN not in shown
    row.refresh_from_db()
    assert row.problem
    listed = world.client("administrator").get(reverse("admin:labs_cluster_changelist")).content.decode()
    assert "Not responding" in listed


def test_a_kept_kubeconfig_is_what_the_site_connects_with(embedded_kubeconfig: str, db: None, settings: Any) -> None:
    settings.EMBEDDED_CLUSTER = True
    row = ClusterFactory(connection="stored", kubeconfig_sealed=vault.seal(Path(embedded_kubeconfig).read_text()))
    assert clusters.client(row).version()
    assert clusters.client(row) is clusters.client(row)


def test_a_kubeconfig_under_a_former_key_is_brought_under_the_current_one(db: None, settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    row = ClusterFactory(connection="stored", kubeconfig_sealed=vault.seal(pasted()))
    Cluster.objects.filter(pk=row.pk).update(registry_sealed=vault.seal(LOGIN))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    assert clusters.reseal_all() == 2
    settings.SECRET_KEY_FALLBACKS = []
    row.refresh_from_db()
    assert TOKEN in vault.open(row.kubeconfig_sealed)
    assert TOKEN in vault.open(row.registry_sealed)


def test_a_file_is_chosen_by_the_name_that_the_operator_gave_it(
    world: World, embedded_kubeconfig: str, settings: Any
) -> None:
    client, form = world.client("administrator"), BASE | {"connection": "file"}
    settings.KUBECONFIG_FILES = {}
    answer = client.post(ADD, form | {"kubeconfig_file": embedded_kubeconfig}).text
    assert "No kubeconfig files are listed" in answer
    settings.KUBECONFIG_FILES = {"campus": NamedFile(Path(embedded_kubeconfig), False)}
    answer = client.post(ADD, form | {"kubeconfig_file": embedded_kubeconfig}).text
    assert "Choose one of the files in KUBECONFIG_FILES: campus." in answer
    assert embedded_kubeconfig not in client.get(ADD).text
    assert not Cluster.objects.filter(slug="cloud").exists()
    assert client.post(ADD, form | {"kubeconfig_file": "campus"}).status_code == 302
    assert clusters.client(Cluster.objects.get(slug="cloud")).version()


def test_a_path_of_an_older_version_becomes_the_name_of_the_file(db: None, settings: Any) -> None:
    settings.KUBECONFIG_FILES = {"campus": NamedFile(Path("/etc/mlsite/campus.yaml"), False)}
    known = ClusterFactory(connection="file", kubeconfig_file="/etc/mlsite//campus.yaml")
    unknown = ClusterFactory(connection="file", kubeconfig_file="/tmp/upload")
    import_module("labs.migrations.0013_kubeconfig_files_by_name").name_files(apps, None)
    assert [Cluster.objects.get(pk=row.pk).kubeconfig_file for row in (known, unknown)] == ["campus", "/tmp/upload"]
    with pytest.raises(Unavailable, match="KUBECONFIG_FILES"):
        clusters.client(unknown)


def test_a_token_that_an_editor_has_wrapped_is_taken_without_its_line_breaks(
    world: World, embedded_kubeconfig: str
) -> None:
    there = yaml.safe_load(Path(embedded_kubeconfig).read_text())
    token = there["users"][0]["user"].pop("token")
    there["users"][0]["user"]["token"] = f"{token[:9]}\r\n{token[9:]}\n"
    client = world.client("administrator")
    assert client.post(ADD, BASE | {"lab_scheme": "http", "kubeconfig": yaml.safe_dump(there)}).status_code == 302
    row = Cluster.objects.get(slug="cloud")
    assert "The cluster responds: Kubernetes" in client.post(page(row, "test_connection")).text


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ({"token": f"{TOKEN}\u200b"}, "The token contains the character U+200B"),
        ({"token": f"{TOKEN[:5]}…"}, "The token contains the character U+2026"),
        ({"client-certificate-data": "-----BEGIN CERTIFICATE-----", "client-key-data": "x"}, "client-certificate-data is not base64"),
    ],
)  # fmt: skip
def test_what_no_header_can_hold_is_refused_in_the_form(world: World, user: dict[str, str], sentence: str) -> None:
    shown = world.client("administrator").post(ADD, BASE | {"kubeconfig": pasted(**user)}).text
    assert sentence in shown
    assert TOKEN[:5] not in shown.replace("a-token-that-no", "")
    assert not Cluster.objects.filter(slug="cloud").exists()


def test_a_damaged_token_of_an_older_version_is_told_and_never_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    row = ClusterFactory(connection="stored", kubeconfig_sealed=vault.seal(pasted(token=f"{TOKEN}\u2060")))
    shown = world.client("administrator").post(page(row, "test_connection")).text
    assert "contains the character U+2060" in shown
    with pytest.raises(Unavailable):
        sweep.visit(row, timezone.now())
    row.refresh_from_db()
    assert not [text for text in (shown, caplog.text, row.problem) if TOKEN in text]


@pytest.mark.parametrize("body", ["[]", '{"items": [null], "gitVersion": "v1"}'])
def test_a_test_of_the_connection_is_answered_whatever_the_cluster_says(
    world: World, body: str, tmp_path: Path
) -> None:
    with serving(lambda request: Answer(body=body)) as server:
        (tmp_path / "kubeconfig").write_text(pasted().replace("https://127.0.0.1:1", server.address))
        row = ClusterFactory(
            connection="file", kubeconfig_file=named(tmp_path / "kubeconfig"), lab_domain="a..b", ingress_class="nginx"
        )
        answer = world.client("administrator").post(page(row, "test_connection"))
    assert answer.status_code == 200
    assert TOKEN not in answer.text


def test_a_cluster_that_nothing_uses_is_deleted_and_another_says_what_uses_it(world: World) -> None:
    unused, ran, client = ClusterFactory(title="Unused"), ClusterFactory(), world.client("administrator")
    LabFactory(instance=InstanceFactory(clusters=[]), cluster=ran, state=State.ENDED, ended_at=timezone.now())
    used = world.mine.instance.clusters.get()
    for row, why in ((used, "Instances use this cluster: Mine"), (ran, "because labs have run on it")):
        for answer in (
            client.get(page(row, "delete"), follow=True),
            client.post(page(row, "delete"), {"post": "yes"}, follow=True),
        ):
            assert why in answer.text
        with pytest.raises(Refusal, match=why):
            clusters.delete_cluster(row, actor=world.people["administrator"], now=timezone.now())
    assert "This cannot be undone" in client.get(page(unused, "delete")).text
    assert Cluster.objects.count() == 3 + (world.theirs.instance.clusters.get() != used)
    assert client.post(page(unused, "delete"), {"post": "yes"}).status_code == 302
    assert not Cluster.objects.filter(pk=unused.pk).exists()
    event = Event.objects.get(verb=Verb.CLUSTER_CHANGED)
    assert (event.subject, event.after) == ("Unused", {"cluster": "deleted"})
    with pytest.raises(Refusal, match="do not have permission"):
        clusters.delete_cluster(used, actor=world.people["owner"], now=timezone.now())


def test_the_overview_names_clusters_that_do_not_answer(world: World, django_assert_num_queries: Any) -> None:
    index = reverse("admin:index")
    assert "not answer" not in world.client("administrator").get(index).text
    mine = world.mine.instance.clusters.get()
    elsewhere = ClusterFactory(title="Elsewhere", problem="The cluster is not responding (connect timeout).")
    Cluster.objects.filter(pk=mine.pk).update(
        title="Campus", problem="The token is wrong.", last_seen_at="2026-01-01T14:05:00Z"
    )
    for role in ("staff", "owner"):
        text = world.client(role).get(index).text
        assert "A cluster is not responding" in text
        assert "since 1 Jan, 14:05" in text
        assert "1 lab there is shown as unknown" in " ".join(text.split())
        assert "The token is wrong" not in text
        assert elsewhere.title not in text
    text = world.client("administrator").get(index).text
    assert "2 clusters are not responding" in text
    for sentence in ("Campus", "Elsewhere", "The token is wrong.", "(connect timeout)", page(mine, "test_connection")):
        assert sentence in text


def test_gpu_models_are_lines_of_a_form_and_come_back_as_they_were_typed(world: World) -> None:
    client = world.client("administrator")
    typed = {
        "gpu_models-lines": "3",
        "gpu_models-0-name": "a100", "gpu_models-0-title": "A100 80 GB", "gpu_models-0-memory_gib": "80",
        "gpu_models-0-count": "8", "gpu_models-0-node_labels": "gpu=a100, zone=b",
        "gpu_models-2-name": "l4", "gpu_models-2-count": "two",
    }  # fmt: skip
    refused = client.post(ADD, BASE | {"kubeconfig": pasted()} | typed).text
    for text in (
        "GPU model 2: “Count” must be a whole number, such as 8.",
        'value="two"',
        'value="A100 80 GB"',
        'value="gpu=a100, zone=b"',
    ):
        assert text in refused
    assert client.post(ADD, BASE | {"kubeconfig": pasted()} | typed | {"gpu_models-2-count": "2"}).status_code == 302
    row = Cluster.objects.get(slug="cloud")
    assert row.gpu_models == [
        {
            "name": "a100",
            "title": "A100 80 GB",
            "memory_gib": 80,
            "count": 8,
            "node_labels": {"gpu": "a100", "zone": "b"},
        },
        {"name": "l4", "count": 2},
    ]
    shown = client.get(page(row)).text
    assert 'name="gpu_models-3-name"' in shown, "two more lines"
    assert 'value="gpu=a100, zone=b"' in shown
    client.post(page(row), form_data(client, page(row)) | {"title": "Renamed"})
    assert len(Cluster.objects.get(slug="cloud", title="Renamed").gpu_models) == 2, (
        "a form without lines changes nothing"
    )
    client.post(page(row), form_data(client, page(row)) | {"gpu_models-lines": "2", "gpu_models-1-name": "l4"})
    assert Cluster.objects.get(slug="cloud").gpu_models == [{"name": "l4"}]


def test_the_form_begins_with_what_every_cluster_needs(world: World) -> None:
    client = world.client("administrator")
    shown = client.get(ADD).text
    folded = shown[shown.index("<details>") :]
    for name in ("title", "connection", "lab_domain", "ingress_controller", "gpu_models-0-name"):
        assert f'name="{name}"' not in folded
    for name in ("gateway", "tls_secret", "name_servers", "image_registry"):
        assert f'name="{name}"' in folded
    row = ClusterFactory(gateway="gateways/labs")
    assert client.get(page(row)).text.count("<details>") == shown.count("<details>") - 1, "something of it is set"
