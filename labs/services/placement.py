"""On which of its clusters a launch of an instance goes: the first that takes launches, answers, and has room.

Decided from rows alone: the machines as the sweep last saw them, less what others ask for there, less what our rows take.
The instance's row is locked meanwhile, so an instance's own limits on a cluster are exact. Two instances may both take the
last of a cluster: the second then waits there for a machine, as it would on any cluster.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q, Sum

from k8s import capacity
from k8s.resources import BY_KEY, COUNTED, GPU, SUMMED
from labs.errors import Refusal
from labs.models import Cluster, Instance, InstanceCluster, Workload
from labs.models.workload import taken as taken_by

from .admission import Ask
from .refusals import over

#: What is asked of machines, by the names of `k8s.capacity`. What a lab with GPUs takes of the rest does not count on their machines.
_OF_MACHINES = {key: BY_KEY[key].kubernetes for key in COUNTED if BY_KEY[key].kubernetes}
_BESIDE_GPUS = tuple(key for key in _OF_MACHINES if key != "gpus")
_SUMMED_BESIDE_GPUS = tuple(key for key in _BESIDE_GPUS if key in SUMMED)


@dataclass(frozen=True)
class Machines:
    """What the machines of a cluster have for a workload of ours, if nothing of ours ran: all together, and the best of them."""

    together: Mapping[str, int]
    most: Mapping[str, int]
    #: Some take nothing but workloads with GPUs.
    kept_for_gpus: bool


@dataclass
class Known:
    """What many asks in a row are held against. Machines and rows are read once, and `count` counts along."""

    #: What rows take, by the model of GPU that is asked for ("" for none), then by the cluster's key.
    used: dict[str, dict[int, dict[str, int]]] = field(default_factory=dict)
    #: By the cluster's key and the model of GPU.
    machines: dict[tuple[int, str], Machines] = field(default_factory=dict)


@dataclass(frozen=True)
class Short:
    """What a cluster has too little of."""

    key: str
    used: int
    limit: int
    #: It does not fit even when nothing of ours runs.
    never: bool


def places(instance: Instance) -> list[InstanceCluster]:
    """The instance's clusters, in its order, with what is known of their machines. One query."""
    return list(InstanceCluster.objects.filter(instance=instance).select_related("cluster__snapshot"))


def clusters_of(instance: Instance) -> list[Cluster]:
    """The clusters alone. One query."""
    found = InstanceCluster.objects.filter(instance=instance).select_related("cluster")
    return [place.cluster for place in found]


def largest_machine(found: Iterable[InstanceCluster], key: str) -> int | None:
    """The most of a resource of machines that one lab could get on any of these that takes launches, if nothing of ours ran there;
    None where that is not known. No query."""
    most = 0
    for item in found:
        if not item.cluster.is_open:
            continue
        snapshot = getattr(item.cluster, "snapshot", None)
        if item.cluster.grows or snapshot is None:
            return None
        own, suited = getattr(item, key), capacity.suitable(snapshot.machines, {"spec": {}})
        there = max((_without_ours(machine, _OF_MACHINES[key]) for machine in suited), default=0)
        most = max(most, there if own is None else min(own, there))
    return most or None


def gpu_counts(clusters: Iterable[Cluster]) -> dict[str, int]:
    """The models of GPU that can be asked for, and how many of each the best of the clusters has."""
    counts: dict[str, int] = {}
    for cluster in clusters:
        for model in cluster.gpu_models:
            counts[model["name"]] = max(counts.get(model["name"], 0), int(model.get("count", 0)))
    return counts


def place(
    found: Sequence[InstanceCluster],
    ask: Ask,
    *,
    now: datetime.datetime,
    gpu_model: str = "",
    without: Collection[int] = (),
    for_later: bool = False,
    known: Known | None = None,
) -> Cluster:
    """Where it goes. One query. Raises Refusal: cluster-closed, cluster-silent, no-room, or too-large for all of them.

    `found`: all `places` of its instance. `without`: keys of clusters that will not do. `for_later`: it will wait; a cluster that
    could take it when others have ended will do. `known`: for many asks in a row; begin with an empty one, and `count` what is placed.
    """
    open_ones = [item for item in found if item.cluster.is_open]
    if not open_ones:
        raise Refusal(_closed(found), code="cluster-closed")
    answering = open_ones if for_later else [item for item in open_ones if not item.cluster.is_silent(now)]
    if not answering:
        raise Refusal(_silent(open_ones), code="cluster-silent")
    model = gpu_model if ask["gpus"] else ""
    known = Known() if known is None else known
    if model not in known.used:
        known.used[model] = _used(answering, model)
    used = known.used[model]
    shortages: list[Short] = []
    for item in answering:
        if item.cluster_id in without:
            continue
        short = _short(item, ask, gpu_model, used.get(item.cluster_id, {}), known)
        if short is None or (for_later and not short.never):
            return item.cluster
        shortages.append(short)
    raise _refusal(shortages, ask)


def count(known: Known, cluster: Cluster, ask: Ask, *, gpu_model: str = "") -> None:
    """Add to `known` what has just been placed on the cluster."""
    for model, used in known.used.items():
        row = used.setdefault(cluster.pk, {})
        added = {"running": 1, **{f"own_{key}": ask[key] for key in COUNTED}}
        if model:
            added["gpus_of_model"] = ask["gpus"] if model == gpu_model else 0
        for key in _SUMMED_BESIDE_GPUS:
            added |= {f"sum_{key}": ask[key], f"plain_{key}": 0 if ask["gpus"] else ask[key]}
        for key, value in added.items():
            row[key] = row.get(key, 0) + value


def _used(found: Sequence[InstanceCluster], gpu_model: str) -> dict[int, dict[str, int]]:
    """What rows take on each cluster: all of them, GPUs of the one model, and those of the instance ("own_...") where it has
    limits of its own there. No sum that nothing is held against: this is a good part of a launch.
    """
    own = Q(instance=found[0].instance_id)
    sums: dict[str, Any] = {"running": Count("pk")}
    if gpu_model:
        sums["gpus_of_model"] = Sum("gpus", filter=Q(gpu_model=gpu_model))
    else:
        for key in _SUMMED_BESIDE_GPUS:
            sums |= {f"sum_{key}": Sum(key), f"plain_{key}": Sum(key, filter=Q(gpus=0))}
    for key in COUNTED:
        if any(getattr(item, key) is not None for item in found):
            sums[f"own_{key}"] = taken_by(key, own)
    rows = Workload.objects.counted().filter(cluster__in=[item.cluster_id for item in found]).order_by()
    return {
        row.pop("cluster"): {key: value or 0 for key, value in row.items()}
        for row in rows.values("cluster").annotate(**sums)
    }


def _short(
    item: InstanceCluster, ask: Ask, gpu_model: str, used: Mapping[str, int], known: Known
) -> Short | None:  # fmt: skip
    """What keeps it from this cluster; None: it has room."""
    for key in COUNTED:
        limit, asked = getattr(item, key), ask[key]
        if limit is not None and asked and used.get(f"own_{key}", 0) + asked > limit:
            return Short(key, used.get(f"own_{key}", 0), limit, never=asked > limit)
    model = item.cluster.gpu_model(gpu_model) if ask["gpus"] else None
    if ask["gpus"] and model is None:
        return Short("gpus", 0, 0, never=True)
    snapshot = getattr(item.cluster, "snapshot", None)
    if item.cluster.grows or snapshot is None:
        # Its machines are not known, or not the last word: what its row says of GPUs is all there is.
        count = int((model or {}).get("count", 0))
        gpus, taken = ask["gpus"], used.get("gpus_of_model", 0)
        return Short("gpus", taken, count, never=gpus > count) if gpus and taken + gpus > count else None
    key_of_machines = item.cluster_id, gpu_model if model else ""
    if key_of_machines not in known.machines:
        known.machines[key_of_machines] = _machines(snapshot.machines, model)
    return _short_of_machines(known.machines[key_of_machines], ask, used, has_gpus=model is not None)


def _machines(found: list[dict[str, Any]], model: Mapping[str, Any] | None) -> Machines:
    """Those that suit a workload with this model of GPU, or with none. It goes through all of them, some hundred perhaps."""
    pod: dict[str, Any] = {"spec": {}}
    if model:
        # As the built-in service has it.
        pod["spec"] = {
            "nodeSelector": model.get("node_labels", {}),
            "tolerations": [{"key": GPU, "operator": "Exists"}],
        }
    suited = capacity.suitable(found, pod)
    there = {key: [_without_ours(machine, resource) for machine in suited] for key, resource in _OF_MACHINES.items()}
    return Machines(
        together={key: sum(amounts) for key, amounts in there.items()},
        most={key: max(amounts, default=0) for key, amounts in there.items()},
        kept_for_gpus=len(capacity.suitable(found, {"spec": {}})) < len(found),
    )


def _short_of_machines(machines: Machines, ask: Ask, used: Mapping[str, int], *, has_gpus: bool) -> Short | None:
    """Whether one machine could hold it, and all of them together this beside what our rows take."""
    # A lab with a GPU has the CPU of a machine with GPUs; only GPUs are counted for it.
    for key in ("gpus",) if has_gpus else _BESIDE_GPUS:
        asked, together = ask[key], machines.together[key]
        ours = used.get("gpus_of_model" if has_gpus else _sum_of(key, machines.kept_for_gpus), 0)
        if ours + asked > together:
            return Short(key, ours, together, never=asked > together)
    for key in _OF_MACHINES:
        if ask[key] > machines.most[key]:
            return Short(key, 0, machines.most[key], never=True)
    return None


def _sum_of(key: str, kept_for_gpus: bool) -> str:
    return key if key == "running" else f"plain_{key}" if kept_for_gpus else f"sum_{key}"


def _without_ours(machine: Mapping[str, Any], resource: str) -> int:
    """What a machine has for us: all but what others ask for."""
    requested = machine.get("requested", {}).get(resource, 0) - machine.get("ours", {}).get(resource, 0)
    return max(0, int(machine.get("allocatable", {}).get(resource, 0)) - max(0, requested))


def _closed(found: Sequence[InstanceCluster]) -> str:
    if not found:
        return "Labs cannot be launched here yet: no cluster has been assigned."
    which = "the cluster is" if len(found) == 1 else "its clusters are"
    return f"Labs cannot be launched at the moment: {which} closed for maintenance."


def _silent(found: Sequence[InstanceCluster]) -> str:
    which = "the cluster is not responding" if len(found) == 1 else "none of its clusters is responding"
    return f"Labs cannot be launched at the moment: {which}. Please try again in a few minutes."


def _refusal(shortages: Sequence[Short], ask: Ask) -> Refusal:
    if not shortages:
        return Refusal("This name is already in use on the cluster that has room. Please choose another.", code="name")
    best, code = next((short for short in shortages if not short.never), None), "no-room"
    if best is None:
        best, code = max(shortages, key=lambda short: short.limit), "too-large"
    return over(code, best.key, limit=best.limit, used=best.used, asked=ask[best.key])
