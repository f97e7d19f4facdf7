"""A cluster looked at once, for the people who connect it: what answers and what is missing, in plain words."""

import datetime
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from k8s import networks, rights
from k8s.client import Client
from k8s.errors import Error, NotFound, Rejected, Unavailable
from k8s.exposure import controller_of, parent

log = logging.getLogger(__name__)
#: Seconds by which clocks may differ: times of starts and ends are compared across both.
MOST_SKEW = 10
#: Labels by which the makers' own tools name the model of a GPU.
GPU_LABELS = ("nvidia.com/gpu.product", "amd.com/gpu.product-name", "cloud.google.com/gke-accelerator")
GPU = "nvidia.com/gpu"
#: Whose addresses are looked at.
MOST_PODS = 500

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Finding:
    """One line of the report. `tone`: ok, wait (worth a look) or bad (labs will not run)."""

    tone: str
    title: str
    text: str = ""


EMBEDDED = Finding(
    "wait",
    "It does not isolate labs.",
    "The embedded cluster is only for laptops: it does not enforce network policies.",
)


@dataclass(frozen=True)
class Expected:
    """What the cluster's row says of it."""

    ingress_class: str = ""
    ingress_namespace: str = ""
    ingress_networks: Sequence[str] = ()
    controller: str = "other"
    gateway: str = ""
    cluster_issuer: str = ""
    storage_classes: Sequence[str] = ()
    gpu_models: Sequence[Mapping[str, Any]] = ()
    forbidden_networks: Sequence[str] = ()


def examine(client: Client, expected: Expected, *, now: datetime.datetime) -> list[Finding]:
    """Everything, the first thing first; when that fails, nothing else is asked."""
    try:
        greeting = client.greet()
    except Error as problem:
        return [Finding("bad", "The cluster is not responding.", _why(problem))]
    found = [Finding("ok", f"The cluster responds: Kubernetes {greeting.version}."), *_clock(greeting.clock, now)]
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("rights", lambda: _rights(client, with_gateway=bool(expected.gateway))),
        ("Gateway", lambda: _gateway(client, expected.gateway)) if expected.gateway
        else ("ingress class", lambda: _ingress_class(client, expected)),
        ("routes to labs", lambda: iter([EMBEDDED]) if greeting.is_embedded else _sources(client, expected)),
        ("issuer", lambda: _issuer(client, expected.cluster_issuer)),
        ("storage classes", lambda: _storage(client, expected.storage_classes)),
        ("public addresses", lambda: _public(client, expected.forbidden_networks)),
        ("machines", lambda: _machines(client, expected.gpu_models)),
    ]  # fmt: skip
    for title, part in parts:
        try:
            found += part()
        except Rejected:
            found.append(
                Finding(
                    "wait",
                    f"Could not check: {title}.",
                    "The site has no permission to do so (k8s/site/rbac.yaml, rbac-more.yaml).",
                )
            )
        except Error as problem:
            found.append(Finding("bad", f"Could not check: {title}.", _why(problem)))
        except Exception:
            log.exception("test of a connection: %s", title)
            text = "The cluster's response is not in the format of Kubernetes. See the site's log for details."
            found.append(Finding("bad", f"Could not check: {title}.", text))
    return found


def _why(problem: Error) -> str:
    if isinstance(problem, Unavailable) and problem.code == 401:
        return "The cluster does not accept the credentials: the token or certificate is wrong or has expired."
    return problem.message


def _clock(theirs: datetime.datetime | None, now: datetime.datetime) -> Iterator[Finding]:
    if theirs is None:
        return
    seconds = round((theirs - now).total_seconds())
    if abs(seconds) > MOST_SKEW:
        way = "ahead of" if seconds > 0 else "behind"
        text = "Start and end times will be wrong by this much. Synchronize both with the same time server."
        yield Finding("wait", f"Its clock is {abs(seconds)} s {way} the site's.", text)
    else:
        yield Finding("ok", "Its clock matches the site's.")


def _rights(client: Client, *, with_gateway: bool) -> Iterator[Finding]:
    """One question for each right: an account may have more roles than one."""
    missing: dict[str, list[str]] = defaultdict(list)
    for right in rights.needed(with_gateway):
        if not client.may(right.verb, right.group, right.resource, right.subresource):
            missing["/".join(part for part in (right.resource, right.subresource) if part)].append(right.verb)
    if not missing:
        yield Finding("ok", "The site has all the permissions that it needs.")
        return
    lines = "; ".join(f"{resource}: {', '.join(verbs)}" for resource, verbs in missing.items())
    text = f"Missing: {lines}. Apply k8s/site/rbac.yaml" + (" and rbac-more.yaml." if with_gateway else ".")
    yield Finding("bad", "The site lacks permissions that it needs.", text)


def _ingress_class(client: Client, expected: Expected) -> Iterator[Finding]:
    classes = {item["metadata"]["name"]: item for item in client.list("IngressClass").items}
    known = ", ".join(sorted(classes)) or "none"
    if expected.ingress_class:
        chosen = classes.get(expected.ingress_class)
        if chosen is None:
            yield Finding("bad", f"There is no ingress class “{expected.ingress_class}”.", f"Available: {known}.")
            return
    else:
        mark = "ingressclass.kubernetes.io/is-default-class"
        chosen = next(
            (item for item in classes.values() if (item["metadata"].get("annotations") or {}).get(mark) == "true"), None
        )
        if chosen is None:
            text = f"Enter one, or mark one on the cluster as the default. Available: {known}."
            yield Finding("wait", "No ingress class is set, and the cluster has no default.", text)
            return
    name, controller = chosen["metadata"]["name"], controller_of(chosen)
    if controller != expected.controller:
        text = f"Its controller is {chosen['spec'].get('controller')}; here “{expected.controller}” is chosen."
        yield Finding("wait", f"The ingress class “{name}” belongs to another controller.", text)
    else:
        yield Finding("ok", f"The ingress class “{name}” exists.")


def _gateway(client: Client, gateway: str) -> Iterator[Finding]:
    wanted = parent(gateway)
    try:
        found = client.get("Gateway", wanted["name"], wanted["namespace"])
    except NotFound:
        yield Finding(
            "bad", f"There is no Gateway {gateway}.", "Or the cluster has no Gateway API (version 1.2 or newer)."
        )
        return
    listeners = (found.get("spec") or {}).get("listeners") or []
    if "sectionName" in wanted:
        listeners = [one for one in listeners if one.get("name") == wanted["sectionName"]]
    if not listeners:
        yield Finding("bad", f"The Gateway {gateway} has no such listener.")
        return
    if all(
        ((one.get("allowedRoutes") or {}).get("namespaces") or {}).get("from", "Same") == "Same" for one in listeners
    ):
        text = "Its listeners only accept routes from its own namespace (allowedRoutes.namespaces)."
        yield Finding("bad", f"The Gateway {gateway} does not accept routes of labs.", text)
    elif _condition(found, "Programmed") is False:
        yield Finding("bad", f"The Gateway {gateway} is not ready.", _message(found, "Programmed"))
    else:
        yield Finding("ok", f"The Gateway {gateway} exists.")


def _sources(client: Client, expected: Expected) -> Iterator[Finding]:
    """Whether those who serve labs may reach them: a network policy names pods by their namespace, and other senders by address."""
    where, networks = expected.ingress_namespace, [ip_network(text) for text in expected.ingress_networks]
    if not where and not networks:
        yield Finding("bad", "Labs cannot be reached.", "Neither an ingress namespace nor source networks are set.")
    if where:
        yield _senders(client, where, has_networks=bool(networks))
    of_pods = _networks_of_pods(client) if networks else []
    for network in networks:
        if any(_within(network, one) for one in of_pods):
            yield Finding(
                "bad",
                f"There are pods in {network}.",
                "Labs could reach each other through it. Enter single addresses.",
            )
        elif not of_pods:
            yield Finding(
                "wait", f"Requests come from {network}.", "The site cannot check whether pods have addresses in it."
            )
        else:
            yield Finding("ok", f"Requests come from {network}.")


def _senders(client: Client, where: str, *, has_networks: bool) -> Finding:
    pods = client.list("Pod", where, fields="status.phase=Running").items
    # As on many a cluster without a cloud: https://github.com/kubernetes/ingress-nginx/issues/6713
    on_machines = [pod["metadata"]["name"] for pod in pods if pod["spec"].get("hostNetwork")]
    if not pods:
        text = "Labs accept requests from the ingress pods in this namespace. Enter the namespace in which they run."
        return Finding("wait" if has_networks else "bad", f"No pod runs in the namespace “{where}”.", text)
    if on_machines and not has_networks:
        others = len(pods) - len(on_machines)
        text = "Network policies cannot select such pods. If one of them is the ingress, enter its source networks."
        title = f"{_count(len(on_machines), 'pod')} of “{where}” with host networking, such as {on_machines[0]}."
        return Finding("wait" if others else "bad", title, text)
    if len(on_machines) == len(pods):
        text = "They can reach labs from the source networks above, if these are correct."
        return Finding("wait", f"The pods of “{where}” use host networking.", text)
    return Finding("ok", f"Requests come from the pods of “{where}”.")


def _within(network: Network, of_pods: Network) -> bool:
    """Whether pods are in it. Of a machine's whole range the one address that is named may be the machine's."""
    single = network.num_addresses == 1 and of_pods.num_addresses > 1
    return not single and network.version == of_pods.version and network.overlaps(of_pods)


def _networks_of_pods(client: Client) -> list[Network]:
    """The ranges that machines have for pods, which not every network plugin goes by; and the addresses of some pods."""
    texts = [text for node in client.list("Node").items for text in (node.get("spec") or {}).get("podCIDRs") or []]
    for pod in client.list("Pod", fields="status.phase=Running", limit=MOST_PODS).items:
        if not pod["spec"].get("hostNetwork"):
            texts += [one["ip"] for one in pod["status"].get("podIPs") or []]
    found = []
    for text in texts:
        with suppress(ValueError):
            found.append(ip_network(text, strict=False))
    return found


def _public(client: Client, forbidden: Sequence[str]) -> Iterator[Finding]:
    """Labs reach public addresses. Those of machines, their pod ranges and API servers are left out; others have to be named."""
    machines = networks.of_machines(client.list("Node").items)
    pods = networks.of_pods(client.list("Pod", fields="status.phase=Running", limit=MOST_PODS).items)
    if machines:
        text = f"Labs cannot reach them: {_some(machines)}."
        yield Finding("ok", "Its nodes or pods have public addresses.", text)
    if open_ones := networks.beyond(pods, [*machines, *forbidden]):
        text = f"For example {_some(open_ones)}. Enter the pod network under “Forbidden networks”."
        yield Finding("wait", "Labs can reach pods with public addresses.", text)


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return f"{', '.join(texts[:3])}{more}"


def _issuer(client: Client, name: str) -> Iterator[Finding]:
    if not name:
        return
    try:
        found = client.get("ClusterIssuer", name)
    except NotFound:
        yield Finding("bad", f"There is no ClusterIssuer “{name}”.", "Or cert-manager is not installed.")
        return
    if _condition(found, "Ready") is True:
        yield Finding("ok", f"The ClusterIssuer “{name}” is ready.")
    else:
        yield Finding("bad", f"The ClusterIssuer “{name}” is not ready.", _message(found, "Ready"))


def _condition(found: Mapping[str, Any], kind: str) -> bool | None:
    for one in (found.get("status") or {}).get("conditions") or []:
        if one.get("type") == kind:
            return bool(one.get("status") == "True")
    return None


def _message(found: Mapping[str, Any], kind: str) -> str:
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((str(one.get("message", "")) for one in conditions if one.get("type") == kind), "")


def _storage(client: Client, wanted: Sequence[str]) -> Iterator[Finding]:
    names = {item["metadata"]["name"] for item in client.list("StorageClass").items}
    if missing := [name for name in wanted if name not in names]:
        text = f"Available: {', '.join(sorted(names)) or 'none'}."
        yield Finding("bad", f"There is no storage class “{'”, “'.join(missing)}”.", text)
    elif wanted:
        yield Finding("ok", f"The storage classes exist: {', '.join(wanted)}.")
    else:
        yield Finding("ok", f"No storage class is offered. Available: {', '.join(sorted(names)) or 'none'}.")


def _machines(client: Client, models: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    nodes = client.list("Node").items
    yield Finding("ok" if nodes else "bad", f"It has {_count(len(nodes), 'node')}.")
    unknown = [node for node in nodes if _gpus(node)]
    for model in models:
        wanted, title = (model.get("node_labels") or {}).items(), model.get("title") or model["name"]
        having = [node for node in nodes if _gpus(node) and wanted <= (node["metadata"].get("labels") or {}).items()]
        unknown = [node for node in unknown if node not in having]
        number = sum(map(_gpus, having))
        said = int(model.get("count", 0))
        text = "" if number == said else f"Here {said} are offered."
        title = f"{_count(number, 'GPU')} of {title} on {_count(len(having), 'node')}."
        yield Finding("ok" if number == said else "wait", title, text)
    if unknown:
        yield Finding("wait", "Some GPUs match no GPU model.", f"{_products(unknown)}.")


def _products(nodes: Sequence[Mapping[str, Any]]) -> str:
    """The labels by which a model would name these, with their number of GPUs."""
    counted: Counter[str] = Counter()
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        label = next((key for key in GPU_LABELS if key in labels), "")
        counted[f"{label}={labels[label]}" if label else node["metadata"]["name"]] += _gpus(node)
    return "; ".join(f"{name}: {_count(number, 'GPU')}" for name, number in sorted(counted.items()))


def _gpus(node: Mapping[str, Any]) -> int:
    text = str(((node.get("status") or {}).get("allocatable") or {}).get(GPU, "0"))
    return int(text) if text.isdigit() else 0


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
