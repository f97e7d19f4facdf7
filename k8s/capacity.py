"""Pure: how much is free on the machines of a cluster, and what of it would take a lab.

A machine is a plain dict, so that a snapshot of all of them can be kept as JSON:

    {"name": "gpu-1", "labels": {...}, "allocatable": {"cpu": 4000, "memory": 7800, "pods": 110, "nvidia.com/gpu": 1},
     "requested": {"cpu": 1500, ...}, "taints": [{"key": ..., "value": ..., "effect": ...}]}

Amounts are whole numbers: thousandths of a CPU, MiB of memory and of "ephemeral-storage", and counts of all else. What is
counted is what pods ask for (requests), as the scheduler does, not what they use.
"""

from collections import defaultdict
from typing import Any

from k8s import quantities

Object = dict[str, Any]
Amounts = dict[str, int]
#: Phases of pods that take nothing any more.
_OVER = ("Succeeded", "Failed")
#: Effects of taints that keep a pod away.
_REPELS = ("NoSchedule", "NoExecute")


def amount(resource: str, text: str | int) -> int:
    """A quantity in the unit of this module. Raises ValueError."""
    if resource == "cpu":
        return quantities.cpu_millis(text)
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        return quantities.memory_mib(text)
    return quantities.count(text)


def amounts(texts: dict[str, Any] | None, *, offered: bool = False) -> Amounts:
    """Quantities in the units of this module; what cannot be read is left out.

    What is asked for is rounded up, what is `offered` down: half a MiB is not there to be given.
    """
    found = {}
    for resource, text in (texts or {}).items():
        try:
            found[resource] = amount(resource, text)
            if offered and resource in ("memory", "ephemeral-storage"):
                found[resource] = quantities.memory_bytes(text) // 2**20
        except ValueError:
            continue
    return found


def asked(pod: Object) -> Amounts:
    """What the scheduler counts for a pod: its containers together, or its largest init container, and one pod.

    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    spec = pod.get("spec") or {}
    total: Amounts = defaultdict(int)
    for container in spec.get("containers") or []:
        for resource, value in _requests(container).items():
            total[resource] += value
    for container in spec.get("initContainers") or []:
        beside = container.get("restartPolicy") == "Always"  # A sidecar stays.
        for resource, value in _requests(container).items():
            total[resource] = total[resource] + value if beside else max(total[resource], value)
    for resource, value in amounts(spec.get("overhead")).items():
        total[resource] += value
    return {**{resource: value for resource, value in total.items() if value}, "pods": 1}


def _requests(container: Object) -> Amounts:
    """Limits stand in for requests that are not stated."""
    resources = container.get("resources") or {}
    return amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def machines(nodes: list[Object], pods: list[Object]) -> list[Object]:
    """The machines that take pods at all: ready, and not being emptied. `pods`: of the whole cluster, ours or not."""
    taken: dict[str, Amounts] = defaultdict(lambda: defaultdict(int))
    for pod in pods:
        place = (pod.get("spec") or {}).get("nodeName")
        if place and (pod.get("status") or {}).get("phase") not in _OVER:
            for resource, value in asked(pod).items():
                taken[place][resource] += value
    return [_machine(node, dict(taken[node["metadata"]["name"]])) for node in nodes if _takes_pods(node)]


def _machine(node: Object, taken: Amounts) -> Object:
    metadata = node["metadata"]
    taints = [item for item in (node.get("spec") or {}).get("taints") or [] if item.get("effect") in _REPELS]
    return {
        "name": metadata["name"],
        "labels": metadata.get("labels") or {},
        "allocatable": amounts((node.get("status") or {}).get("allocatable"), offered=True),
        "requested": taken,
        "taints": taints,
    }


def _takes_pods(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable")


def free(machine: Object) -> Amounts:
    """What nobody has asked for on one machine."""
    taken = machine.get("requested") or {}
    return {name: max(0, value - taken.get(name, 0)) for name, value in (machine.get("allocatable") or {}).items()}


def suitable(found: list[Object], pod: Object) -> list[Object]:
    """The machines that the pod could be on if they were empty: by node selector, required node affinity and taints."""
    return [machine for machine in found if _selected(machine, pod) and _tolerated(machine, pod)]


def _selected(machine: Object, pod: Object) -> bool:
    spec, labels = pod.get("spec") or {}, machine.get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    return terms is None or any(
        all(_matches(labels, item) for item in term.get("matchExpressions") or []) for term in terms
    )


def _matches(labels: dict[str, str], expression: Object) -> bool:
    value, values = labels.get(expression.get("key", "")), expression.get("values") or []
    operator = expression.get("operator")
    if operator in ("In", "Exists"):
        return value is not None and (operator == "Exists" or value in values)
    if operator in ("NotIn", "DoesNotExist"):
        return value is None or (operator == "NotIn" and value not in values)
    return True  # Gt and Lt: not used here; the scheduler has the last word in any case.


def _tolerated(machine: Object, pod: Object) -> bool:
    tolerations = (pod.get("spec") or {}).get("tolerations") or []
    return all(any(_tolerates(item, taint) for item in tolerations) for taint in machine.get("taints") or [])


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return toleration.get("key") == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")


def most_free(found: list[Object], resource: str) -> int:
    """The most of one thing that is free on one machine."""
    return max((free(machine).get(resource, 0) for machine in found), default=0)


def largest(found: list[Object], resource: str) -> int:
    """The most of one thing that one machine has when it is empty."""
    return max(((machine.get("allocatable") or {}).get(resource, 0) for machine in found), default=0)


def would_start(found: list[Object], request: Amounts, short: set[str]) -> Amounts | None:
    """Less of what is `short`, all else as asked: the most that has a place now on one machine; None if nothing has.

    With more than one thing short, the machine on which the scarcest is least scarce.
    """
    rest = {resource: value for resource, value in request.items() if resource not in short}
    best: Amounts | None = None
    for machine in found:
        there = free(machine)
        if any(there.get(resource, 0) < value for resource, value in rest.items()):
            continue
        offer = {resource: min(request[resource], there.get(resource, 0)) for resource in short if resource in request}
        if offer and all(offer.values()) and (best is None or _share(offer, request) > _share(best, request)):
            best = offer
    return best


def _share(offer: Amounts, request: Amounts) -> tuple[float, float]:
    shares = [value / request[resource] for resource, value in offer.items()]
    return min(shares), sum(shares)
