"""Two instances with labs on a machine that is made of namespaces, who else there is, and questions who reaches whom."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import uuid4

from django.utils import timezone

from k8s.errors import NotFound
from k8s.kinds import path
from labs.services.instances import provision
from labs.services.launch import launch
from labs.services.reconcile import load, reconcile
from labs.services.rendering import name_of
from tests.security.conftest import instance_on
from tests.support import machine as machine_of
from tests.support.answers import Answers, Place, is_reached
from tests.support.cluster import wait_for
from tests.support.controlplane import ControlPlane
from tests.support.machine import Machine
from tests.support.netns import Namespace
from tests.support.network_plugin import NODE, put_status

Object = dict[str, Any]
_NUMBERS = itertools.count(2)


class Host(NamedTuple):
    """Somebody who asks and is asked."""

    network: Namespace
    address: str


class Question(NamedTuple):
    """Whether this one reaches that place."""

    asking: Namespace
    place: Place


Questions = Mapping[str, Question]


class Town:
    """Use as a context manager. Everybody answers wherever they are asked."""

    def __init__(self, plane: ControlPlane, machine: Machine, answers: Answers, held: SimpleNamespace) -> None:
        self._plane, self._machine, self._answers, self._operator = plane, machine, answers, plane.client()
        self._opened: set[Place] = set()
        self._stack = contextlib.ExitStack()
        self.held, self.cluster = held, held.instance.clusters.get()
        self.machine = Host(machine.itself, machine_of.ADDRESS)

    def __enter__(self) -> Town:
        with contextlib.ExitStack() as stack:
            self._stack = stack
            self.cluster.ingress_namespace = self._namespace("ingress")
            self.cluster.save()
            self.other = instance_on(self.cluster)
            stack.callback(self._operator.delete, "Namespace", self.other.instance.namespace)
            self.lab, self.neighbour, self.foreign = self._lab(self.held), self._lab(self.held), self._lab(self.other)
            self.dns = self._pod("kube-system", "kube-dns")
            self.ingress = self._pod(self.cluster.ingress_namespace, "ingress")
            self.stranger = self._pod(self._namespace("elsewhere"), "ingress")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def expose(self) -> None:
        """Take the policies of the instances away."""
        for namespace in (self.held.instance.namespace, self.other.instance.namespace):
            for found in self._operator.list("NetworkPolicy", namespace).items:
                self._operator.delete("NetworkPolicy", found["metadata"]["name"], namespace)

    def protect(self) -> None:
        """Have the site put them there."""
        for one in (self.held, self.other):
            provision(one.instance)

    def world(self, *addresses: str) -> None:
        """Have addresses outside the cluster that all who are here can reach."""
        network = self._machine.join(*addresses)
        self._stack.callback(network.close)
        #: Asks from one of them.
        self.outside = Host(network, addresses[0])

    def another_machine(self, address: str) -> Host:
        """One of the cluster, with its address in the network of pods, from which what runs on its own network asks pods elsewhere."""
        network = self._machine.join(address)
        self._stack.callback(network.close)
        return Host(network, address)

    def machine_also_at(self, address: str) -> Host:
        """The machine that the pods are on, by one more address."""
        self.machine.network.run(f"address add {address}/32 dev lo")
        self._stack.callback(self.machine.network.run, f"address del {address}/32 dev lo")
        return Host(self.machine.network, address)

    def of(self, name: str, asking: Host, asked: Host, port: int, protocol: str = "tcp") -> dict[str, Question]:
        """One question. Who is asked answers there from now on."""
        question = self._ask(asking, asked.network, Place(asked.address, port, protocol))
        return {f"{name}, {protocol} {port}": question}

    def out(self, asking: Host, addresses: Mapping[str, str], protocol: str = "tcp") -> dict[str, Question]:
        """Of addresses of the world."""
        return {
            f"{name}, {to}, {protocol}": self._ask(asking, self.outside.network, Place(to, 443, protocol))
            for name, to in addresses.items()
        }

    def _ask(self, asking: Host, asked: Namespace, place: Place) -> Question:
        if place not in self._opened:
            self._answers.open(asked, place)
            self._opened.add(place)
        return Question(asking.network, place)

    def _namespace(self, name: str) -> str:
        """A new one whose name begins so, without policies."""
        full = f"{name}-{uuid4().hex[:8]}"
        self._operator.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": full}})
        self._stack.callback(self._operator.delete, "Namespace", full)
        return full

    def _finds(self, kind: str, name: str, namespace: str) -> bool:
        with contextlib.suppress(NotFound):
            return bool(self._operator.get(kind, name, namespace))
        return False

    def _pod(self, namespace: str, app: str) -> Host:
        """One of the operator's."""
        wait_for(f"the account of {namespace}", lambda: self._finds("ServiceAccount", "default", namespace))
        meta = {"name": f"{app}-{uuid4().hex[:8]}", "namespace": namespace, "labels": {"app": app}}
        spec = {"nodeName": NODE, "containers": [{"name": "main", "image": "busybox:1"}]}
        return self._run(self._operator.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))

    def _lab(self, held: SimpleNamespace) -> Host:
        """One that the site has launched; what the scheduler does comes from here, for the node takes no pods from it."""
        values = {"name": f"lab-{uuid4().hex[:8]}", "cpu": "1", "memory": "1024", "lifetime": "60"}
        now = timezone.now()
        lab = launch(actor=held.member, instance=held.instance, template=held.template, values=values, now=now)
        reconcile(lab.pk)
        assert load(lab.pk).end_reason == ""
        name, namespace = name_of(lab), held.instance.namespace
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        self._plane.request("POST", f"{path('Pod', namespace, name)}/binding", {**binding, "target": target})
        return self._run(self._operator.get("Pod", name, namespace))

    def _run(self, pod: Object) -> Host:
        """Do what its kubelet would: give it a network, and say at which addresses it is."""
        number, meta = next(_NUMBERS), pod["metadata"]
        address = f"10.244.{number >> 8}.{number & 255}"
        self._stack.callback(self._operator.delete, "Pod", meta["name"], meta["namespace"], grace_seconds=0)
        network = self._machine.join(address)
        self._stack.callback(network.close)
        put_status(
            self._plane, pod, phase="Running", conditions=[{"type": "Ready", "status": "True"}],
            hostIP=machine_of.ADDRESS, hostIPs=[{"ip": machine_of.ADDRESS}],
            podIP=address, podIPs=[{"ip": address}],
        )  # fmt: skip
        return Host(network, address)


def prove(town: Town, *, passed: Questions, stopped: Questions, by: Callable[[], object]) -> None:
    """All is reached without policies; and when `by` has put them there, what is `passed` and nothing of what is `stopped`."""
    questions = {**passed, **stopped}
    town.expose()
    see(questions, dict.fromkeys(questions, True))
    by()
    see(questions, {name: name in passed for name in questions})


def see(questions: Questions, expected: Mapping[str, bool]) -> None:
    """Wait until the answers are these: a plugin learns of a policy a moment after the API server."""

    def wrong() -> list[str]:
        """What is not as it should be, such as "reached: in 10.0.0.0/8"."""
        seen = {name: is_reached(place, asking) for name, (asking, place) in questions.items()}
        return [f"{'' if is_so else 'not '}reached: {name}" for name, is_so in seen.items() if is_so != expected[name]]

    with contextlib.suppress(AssertionError):
        wait_for("the expected answers", lambda: not wrong())
    assert not (found := wrong()), "\n".join(found)
