"""The reconciler, the observation and the sweep against living API servers: the embedded one and a real one."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ

from k8s import labels
from k8s.client import Client
from k8s.errors import Rejected, Unavailable
from k8s.policy import PolicyError
from labs.errors import Refusal
from labs.models import EndReason, Lab, Quota, Scope, State, Workload
from labs.rules import queue
from labs.services import clusters, logs, rendering, sweep
from labs.services import reconcile as reconcile_module
from labs.services.claims import Claim
from labs.services.instances import provision
from labs.services.launch import launch
from labs.services.observe import Told, observe
from labs.services.reconcile import forget_applied, load, reconcile, reconcile_due
from labs.services.rendering import WORKLOAD_KINDS, name_of
from labs.services.stopping import stop, stop_all
from tests.support.kubeconfigs import named
from tests.support.stack import until

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(world: SimpleNamespace, kubeconfig: str, site_kubeconfig: str) -> Iterator[SimpleNamespace]:
    """The world on a cluster, in a namespace of its own. `client` is the site's, `operator` may do everything."""
    cluster = world.instance.clusters.get()
    cluster.connection, cluster.kubeconfig_file = "file", named(site_kubeconfig)
    cluster.save()
    world.instance.slug = f"test-{uuid4().hex[:8]}"
    world.instance.save()
    provision(world.instance)
    world.client = clusters.client(cluster)
    world.operator = Client.from_kubeconfig(kubeconfig)
    yield world
    world.operator.delete("Namespace", world.instance.namespace)


def launched(world: SimpleNamespace, **values: Any) -> Lab:
    values = {"name": f"lab-{uuid4().hex[:8]}", "cpu": "1", "memory": "1024", "lifetime": "60", **values}
    return launch(
        actor=world.member, instance=world.instance, template=world.template, values=values, now=timezone.now()
    )


def objects_of(world: SimpleNamespace, lab: Lab) -> dict[str, dict[str, Any]]:
    listed = {
        kind: world.operator.list(kind, world.instance.namespace, labels=f"{labels.WORKLOAD}={lab.pk}").items
        for kind in WORKLOAD_KINDS
    }
    return {kind: items[0] for kind, items in listed.items() if items}


def calls(client: Client) -> Counter[str]:
    return Counter(client.calls)


def ready(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod as a kubelet would report it when its probe passes."""
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    return {**pod, "status": status}


def tell(pod: dict[str, Any], *, gone: bool = False, now: datetime.datetime | None = None) -> None:
    """As the watcher does."""
    workload = UUID(pod["metadata"]["labels"][labels.WORKLOAD])
    observe([Told(workload, pod=pod, gone=gone)], now=now or timezone.now())


def test_a_launch_makes_four_objects_of_which_the_secret_owns_the_rest(running: SimpleNamespace) -> None:
    lab = launched(running, password="a secret word")
    assert reconcile(lab.pk)
    found = objects_of(running, lab)
    assert set(found) == set(WORKLOAD_KINDS)
    uid = found.pop("Secret")["metadata"]["uid"]
    assert {item["metadata"]["ownerReferences"][0]["uid"] for item in found.values()} == {uid}
    assert {item["metadata"]["name"] for item in found.values()} == {name_of(lab)}
    assert found["Pod"]["metadata"]["labels"][labels.EXPIRES].isdecimal()
    assert load(lab.pk).state == State.STARTING


def test_a_launch_takes_at_most_5_calls_and_a_stop_one(running: SimpleNamespace) -> None:
    lab = launched(running)
    before = calls(running.client)
    reconcile(lab.pk)
    tell(ready(objects_of(running, lab)["Pod"]))
    reconcile(lab.pk)
    assert (calls(running.client) - before).total() == 5
    lab = load(lab.pk)
    assert lab.state == State.RUNNING
    stop(lab, actor=running.member, now=timezone.now())
    before = calls(running.client)
    reconcile(lab.pk)
    assert (calls(running.client) - before).total() == 1


def test_reconciling_again_asks_the_cluster_nothing(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    before = calls(running.client)
    reconcile(lab.pk)
    assert calls(running.client) == before


def test_the_lifetime_starts_with_the_first_answer_and_stands_on_the_pod(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    now = timezone.now() + datetime.timedelta(minutes=5)
    pod = objects_of(running, lab)["Pod"]
    tell(ready(pod), now=now)
    tell(ready(pod), now=now + datetime.timedelta(minutes=1))
    reconcile(lab.pk)
    row = load(lab.pk)
    assert (row.started_at, row.expires_at) == (now, now + datetime.timedelta(minutes=60))
    assert int(objects_of(running, lab)["Pod"]["metadata"]["labels"][labels.EXPIRES]) == int(row.expires_at.timestamp())


def test_a_stopped_workload_leaves_nothing_and_ends(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    stop(lab, actor=running.member, now=timezone.now())
    reconcile(lab.pk)
    until(lambda: not objects_of(running, lab), 20, "nothing is left on the cluster")
    sweep.compare(lab.cluster)
    assert load(lab.pk).state == State.ENDED


def test_a_stop_before_anything_was_made_ends_at_once(running: SimpleNamespace) -> None:
    lab = launched(running)
    stop(lab, actor=running.member, now=timezone.now())
    reconcile(lab.pk)
    assert load(lab.pk).state == State.ENDED


def test_a_stop_while_the_objects_are_being_made_wins(
    running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = launched(running)
    create = Client.create

    def create_and_stop(self: Client, manifest: dict[str, Any]) -> dict[str, Any]:
        if manifest["kind"] == "Pod":
            stop(load(lab.pk), actor=running.member, now=timezone.now())
        return create(self, manifest)

    monkeypatch.setattr(Client, "create", create_and_stop)
    reconcile(lab.pk)
    until(lambda: not objects_of(running, lab), 20, "nothing is left on the cluster")
    assert load(lab.pk).state in (State.STOPPING, State.ENDED)


def test_one_worker_at_a_row_and_a_lost_one_is_replaced(running: SimpleNamespace) -> None:
    lab = launched(running)
    claim = Claim(Workload)
    assert claim.take(Workload.objects.filter(pk=lab.pk)) == 1
    assert not reconcile(lab.pk)
    Workload.objects.filter(pk=lab.pk).update(claimed_until=timezone.now() - datetime.timedelta(seconds=1))
    assert reconcile(lab.pk)
    assert not claim.renew()


def test_a_worker_killed_half_way_is_made_good(running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = launched(running)
    create = Client.create

    def die_at_the_service(self: Client, manifest: dict[str, Any]) -> dict[str, Any]:
        if manifest["kind"] == "Service":
            raise KeyboardInterrupt
        return create(self, manifest)

    monkeypatch.setattr(Client, "create", die_at_the_service)
    with pytest.raises(KeyboardInterrupt):
        reconcile(lab.pk)
    monkeypatch.undo()
    Workload.objects.filter(pk=lab.pk).update(claimed_until=timezone.now() - datetime.timedelta(seconds=1))
    before = objects_of(running, lab)["Pod"]["metadata"]["uid"]
    assert reconcile(lab.pk)
    found = objects_of(running, lab)
    assert set(found) == set(WORKLOAD_KINDS)
    assert found["Pod"]["metadata"]["uid"] == before


def test_a_silent_cluster_leaves_the_row_to_be_tried_again(world: SimpleNamespace) -> None:
    cluster = world.instance.clusters.get()
    cluster.connection, cluster.kubeconfig_file = "file", named("/nowhere/kubeconfig")
    cluster.save()
    lab = launched(world)
    with pytest.raises(Unavailable):
        reconcile(lab.pk)
    row = load(lab.pk)
    assert (row.claim, row.is_settled, row.state) == (None, False, State.STARTING)
    assert row.problem
    assert (row.diagnosis["cause"], row.diagnosis["fatal"]) == ("cluster-silent", False)


def test_the_sweep_makes_again_what_went_without_our_doing(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    running.operator.delete("Ingress", name_of(lab), running.instance.namespace)
    sweep.compare(lab.cluster)
    reconcile(lab.pk)
    assert set(objects_of(running, lab)) == set(WORKLOAD_KINDS)


def ours(world: SimpleNamespace, kind: str, name: str = "", **more: str) -> dict[str, Any]:
    """An object that looks like a workload's, which has no row."""
    marks = {
        labels.MANAGED_BY: labels.MANAGER,
        labels.SITE: settings.SITE_IDENTITY,
        labels.WORKLOAD: str(uuid4()),
        **more,
    }
    name = name or f"orphan-{marks[labels.WORKLOAD][:8]}"
    metadata = {"name": name, "namespace": world.instance.namespace, "labels": marks}
    spec = {"spec": {"ports": [{"port": 80}]}} if kind == "Service" else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **spec}


def names(world: SimpleNamespace, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in world.operator.list(kind, world.instance.namespace).items}


def test_the_sweep_removes_what_has_no_row_and_nothing_that_is_not_ours(running: SimpleNamespace) -> None:
    foreign = [
        ours(running, "Service", "other-site", **{labels.SITE: "another"}),
        ours(running, "Service", "not-managed", **{labels.MANAGED_BY: "helm"}),
        ours(running, "Service", "by-hand", **{labels.WORKLOAD: "mine"}),
    ]
    for manifest in [*foreign, ours(running, "Service")]:
        running.operator.apply(manifest)
    sweep.compare(running.instance.clusters.get())
    assert names(running, "Service") == {"other-site", "not-managed", "by-hand"}


def test_the_sweep_removes_the_secret_of_an_orphan_and_all_that_it_owns(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    Workload.objects.filter(pk=lab.pk).update(state=State.ENDED, end_reason=EndReason.USER, ended_at=timezone.now())
    sweep.compare(lab.cluster)
    until(lambda: not objects_of(running, lab), 20, "nothing is left on the cluster")


def test_a_secret_made_after_the_end_is_removed_and_no_other(running: SimpleNamespace) -> None:
    alive, over = launched(running), launched(running)
    for lab in (alive, over):
        reconcile(lab.pk)
    stop(over, actor=running.member, now=timezone.now())
    reconcile(over.pk)
    until(lambda: not objects_of(running, over), 20, "nothing is left on the cluster")
    sweep.compare(over.cluster)
    late = ours(running, "Secret", name_of(over), **{labels.WORKLOAD: str(over.pk)})
    foreign = ours(running, "Secret", "foreign", **{labels.WORKLOAD: str(over.pk), labels.SITE: "another"})
    for secret in (late, foreign):
        running.operator.apply(secret)
    sweep.remove_late(over.cluster, timezone.now())
    left = names(running, "Secret")
    assert name_of(over) not in left
    assert {name_of(alive), "foreign"} <= left


def test_a_refusal_by_the_namespaces_quota_is_explained_in_plain_words(running: SimpleNamespace) -> None:
    Quota.objects.filter(instance=running.instance, scope=Scope.INSTANCE).update(cpu_millis=500)
    provision(running.instance)
    Quota.objects.filter(instance=running.instance, scope=Scope.INSTANCE).update(cpu_millis=10_000)
    lab = launched(running)
    reconcile(lab.pk)
    row = load(lab.pk)
    # Without a pod there is nobody who tells of its end: nothing is waited for.
    assert (row.state, row.end_reason) == (State.ENDED, EndReason.FAILED)
    assert row.diagnosis["cause"] == "quota"
    assert "forbidden" not in f"{row.diagnosis['title']} {row.diagnosis['text']} {row.diagnosis['next_step']}".lower()
    assert "exceeded quota" in row.diagnosis["technical"]
    until(lambda: not objects_of(running, lab), 20, "nothing is left on the cluster")


def only_room_for_one(world: SimpleNamespace) -> None:
    """The namespace's quota, which the cluster itself asks."""
    Quota.objects.filter(instance=world.instance, scope=Scope.INSTANCE).update(
        cpu_millis=1000, memory_mib=1024, running=1
    )
    provision(world.instance)
    used = lambda: world.operator.list("ResourceQuota", world.instance.namespace).items[0].get("status", {}).get("used")  # noqa: E731
    until(used, 20, "the quota is counted")


def test_in_a_full_course_what_is_sent_again_ends_nothing(running: SimpleNamespace) -> None:
    """A quota is asked before a name is looked at: creation of what is there would be refused for want of room."""
    only_room_for_one(running)
    lab = launched(running)
    reconcile(lab.pk)
    before = objects_of(running, lab)["Pod"]["metadata"]["uid"]
    tell(ready(objects_of(running, lab)["Pod"]))
    reconcile(lab.pk)
    forget_applied(load(lab.pk), pod_is_gone=False)
    reconcile(lab.pk)
    row = load(lab.pk)
    assert (row.state, row.is_settled, row.problem) == (State.RUNNING, True, "")
    assert objects_of(running, lab)["Pod"]["metadata"]["uid"] == before


def test_in_a_full_course_a_worker_killed_half_way_is_made_good(
    running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_room_for_one(running)
    test_a_worker_killed_half_way_is_made_good(running, monkeypatch)


def test_a_lab_that_answers_while_the_sweep_looks_is_left_alone(
    running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    list_ours = sweep.list_ours

    def list_and_answer(*args: Any) -> Any:
        found = list_ours(*args)
        tell(ready(objects_of(running, lab)["Pod"]))
        return found

    monkeypatch.setattr(sweep, "list_ours", list_and_answer)
    before = load(lab.pk).applied
    sweep.compare(lab.cluster)
    row = load(lab.pk)
    assert (row.state, row.applied) == (State.RUNNING, before)


def test_a_running_lab_outlives_other_settings_of_the_site(
    running: SimpleNamespace, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    pod = objects_of(running, lab)["Pod"]
    settings.HOME_GIB += 1
    tell(ready(pod))
    reconcile(lab.pk)
    row = load(lab.pk)
    assert (row.state, row.problem) == (State.RUNNING, "")
    expires = objects_of(running, lab)["Pod"]["metadata"]["labels"][labels.EXPIRES]
    assert int(expires) == int(row.expires_at.timestamp())

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PolicyError(["it is not allowed any more"])

    monkeypatch.setattr(rendering.policy, "check", refuse)
    forget_applied(row, pod_is_gone=False)
    reconcile(lab.pk)
    row = load(lab.pk)
    assert (row.state, row.is_settled, row.problem) == (State.RUNNING, True, "it is not allowed any more")


def test_a_second_way_to_the_same_cluster_removes_nothing(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    same = lab.cluster
    same.pk, same.slug, same.lab_domain = None, "same", "same.example.org"
    same.save(force_insert=True)
    sweep.compare(same)
    assert set(objects_of(running, lab)) == set(WORKLOAD_KINDS)


def test_what_was_forgotten_meanwhile_stays_forgotten(running: SimpleNamespace) -> None:
    lab = launched(running)
    claim = Claim(Workload)
    claim.take(Workload.objects.filter(pk=lab.pk))
    row = load(lab.pk)
    forget_applied(row)
    assert not claim.settle({row: {"applied": {"Pod": "what it sent"}, "owner_uid": "of the one that went"}})
    assert not any(load(lab.pk).applied.values())


def test_a_pod_that_went_while_it_should_run_is_made_again(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    pod = objects_of(running, lab)["Pod"]
    running.operator.delete("Pod", name_of(lab), running.instance.namespace, grace_seconds=0)
    tell(pod, gone=True)
    reconcile(lab.pk)
    assert objects_of(running, lab)["Pod"]["metadata"]["uid"] != pod["metadata"]["uid"]


def test_nobody_waits_for_the_log_of_a_cluster_that_is_silent(
    running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    running.instance.clusters.update(problem="The cluster is not responding.")
    before = calls(running.client)
    with pytest.raises(Refusal, match="is not responding"):
        logs.tail(load(lab.pk))
    assert calls(running.client) == before


def test_the_log_of_a_pod_that_has_not_started_is_empty(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    assert logs.tail(load(lab.pk)).text == ""


def test_a_template_that_asks_for_more_than_it_may_starts_nothing(running: SimpleNamespace) -> None:
    lab = launched(running)
    pod = next(item for item in lab.template.objects_json if item["kind"] == "Pod")
    pod["spec"]["hostNetwork"] = True
    lab.template.save()
    reconcile(lab.pk)
    row = load(lab.pk)
    assert (row.end_reason, row.diagnosis["cause"]) == (EndReason.FAILED, "template")
    assert not objects_of(running, lab)


def test_what_was_lost_is_sent_again_but_never_fills_the_queue(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(world)
    Workload.objects.update(due_at=timezone.now() - datetime.timedelta(seconds=10))
    OrmQ.objects.all().delete()
    for _ in range(3):
        monkeypatch.setattr(queue, "MOST_QUEUED", 2)
        queue.remind(timezone.now())
    assert [task.func() for task in OrmQ.objects.all()] == ["labs.tasks.reconcile_workloads"] * 2


@pytest.mark.parametrize(("named", "removals"), [(100, 9), (4, 12)])
def test_many_at_once_take_one_task_and_are_made_and_removed_together(
    running: SimpleNamespace,
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
    named: int,
    removals: int,
) -> None:
    monkeypatch.setattr(reconcile_module, "NAMED", named)
    Quota.objects.filter(instance=running.instance).update(cpu_millis=None, memory_mib=None, running=None)
    provision(running.instance)
    OrmQ.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        labs = [launched(running, cpu="0.25", memory="512") for _ in range(6)]
    assert OrmQ.objects.count() <= 1
    before = calls(running.client)
    assert reconcile_due() == 6
    assert calls(running.client) - before == {"create": 18, "apply": 6}
    assert reconcile_due() == 0
    assert stop_all(running.instance, now=timezone.now()) == 6
    before = calls(running.client)
    assert reconcile_due() == 6
    assert (calls(running.client) - before).total() == removals
    until(lambda: not any(objects_of(running, lab) for lab in labs), 20, "nothing is left on the cluster")
    sweep.compare(labs[0].cluster)
    assert set(Workload.objects.values_list("state", flat=True)) == {State.ENDED}


def test_of_many_that_leave_a_refusal_of_one_kind_is_not_forgotten_for_the_next(
    running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Quota.objects.filter(instance=running.instance).update(cpu_millis=None, memory_mib=None, running=None)
    labs = [launched(running) for _ in range(4)]
    assert reconcile_due() == 4
    stop_all(running.instance, now=timezone.now())
    delete = Client.delete_selected

    def refuse_pods(self: Client, kind: str, namespace: str, *, labels: str) -> None:
        if kind == "Pod":
            raise Rejected("admission webhook denied the request", code=403, reason="Forbidden")
        delete(self, kind, namespace, labels=labels)

    monkeypatch.setattr(Client, "delete_selected", refuse_pods)
    assert reconcile_due() == 4
    assert all("denied" in load(lab.pk).problem for lab in labs)


def test_another_worker_is_called_for_many_starts_behind_a_stop(
    running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Quota.objects.filter(instance=running.instance).update(cpu_millis=None, memory_mib=None, running=None)
    gone = launched(running)
    assert reconcile(gone.pk)
    assert stop(load(gone.pk), actor=running.member, now=timezone.now())
    for _ in range(3):
        launched(running)
    sent: list[str] = []
    monkeypatch.setattr(reconcile_module, "send", sent.append)
    monkeypatch.setattr(reconcile_module, "BATCH", 2)
    assert reconcile_due() == 4
    assert sent == ["reconcile_workloads"]


def test_an_odd_row_does_not_keep_the_others_of_its_batch_from_theirs(
    running: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, good = launched(running), launched(running)
    render = reconcile_module.render

    def render_or_fail(lab: Lab) -> list[dict[str, Any]]:
        if lab.pk == odd.pk:
            raise RuntimeError("odd")
        return render(lab)

    monkeypatch.setattr(reconcile_module, "render", render_or_fail)
    assert reconcile_due() == 2
    assert set(objects_of(running, good)) == set(WORKLOAD_KINDS)
    row = load(odd.pk)
    assert (row.claim, row.is_settled, row.problem) == (None, False, "odd")
    assert reconcile_due() == 0  # It waits a while.
