"""Labs behind a real ingress controller: Traefik, by Ingress and by Gateway, on a real control plane in a network of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientConnectorCertificateError
from cryptography import x509

from k8s.client import Client
from tests.controlplane import programs
from tests.support import own_network, site_account, traefik
from tests.support.browser import NO_BROWSER, chromium, compute_in
from tests.support.certificate import certificate_for
from tests.support.controlplane import ControlPlane
from tests.support.databases import Databases
from tests.support.lab_visitor import Visitor
from tests.support.stack import INGRESS, NO_IMAGES, Stack, until

pytestmark = [pytest.mark.k8s, pytest.mark.slow]

NAMESPACE, PASSWORD = "ml-physics-250", "forty-two is 6*7"
#: Longer than the impatient entry point waits, in seconds.
PAUSE = 5.0
ENTRY_POINTS = "traefik.ingress.kubernetes.io/router.entrypoints"
COMMON = {
    "lab_scheme": "https", "lab_port": None, "ingress_controller": "traefik", "ingress_class": "",
    "ingress_annotations": {}, "tls_secret": "", "gateway": "",
}  # fmt: skip
#: What a cluster's row says, and whose certificate labs then have.
WAYS: dict[str, tuple[dict[str, Any], str]] = {
    "the controller's certificate": ({}, "controller"),
    "a certificate of the namespace": ({"ingress_class": "traefik", "tls_secret": "wildcard"}, "namespace"),
    "a gateway": ({"gateway": "gateways/labs"}, "gateway"),
}
SET = """
from django.utils import timezone
from accounts.models import User
from labs.models import Cluster
from labs.services.clusters import save_cluster
cluster = Cluster.objects.get(slug="laptop")
for name, value in {values!r}.items():
    setattr(cluster, name, value)
save_cluster(cluster, actor=User.objects.get(email="admin@example.org"), now=timezone.now())
"""
LAUNCH = """
from django.utils import timezone
from accounts.models import User
from labs.models import Instance
from labs.services.launch import launch
instance, actor = Instance.objects.get(slug="physics-250"), User.objects.get(email="member@example.org")
values = {{"name": {name!r}, "cpu": "0.5", "memory": "1024", "lifetime": "60", "password": {password!r}}}
launch(actor=actor, instance=instance, template=instance.services.get(slug="jupyterlab"), values=values, now=timezone.now())
"""
LAB = """
import json
from labs.models import Lab
lab = Lab.objects.get(name={name!r})
print(json.dumps([lab.state, lab.is_ready, lab.cluster.address(lab.name)]))
"""
LIVE = "from labs.models import Lab; print(Lab.objects.live().count())"
STOP = """
from django.utils import timezone
from labs.models import Lab
from labs.services.stopping import stop
lab = Lab.objects.select_related("instance", "owner").get(name={name!r})
stop(lab, actor=lab.owner, now=timezone.now())
"""


@dataclass
class Place:
    """A site whose labs are behind Traefik, and the certificates by their holders."""

    stack: Stack
    plane: ControlPlane
    certificates: dict[str, tuple[str, str]]

    def set(self, domain: str, values: dict[str, Any]) -> None:
        """Lead labs another way. A cluster keeps its domain for as long as labs run under it."""
        until(lambda: self.stack.shell(LIVE) == "0", 60, "no lab runs")
        self.stack.shell(SET.format(values={**COMMON, "lab_domain": domain, **values}))

    def launch(self, name: str, holder: str) -> str:
        """A lab that the site says is ready, and that answers under this certificate; its address."""
        self.stack.shell(LAUNCH.format(name=name, password=PASSWORD))
        until(lambda: self._lab(name)[:2] == ["running", True], 60, f"{name} runs")
        address, began = str(self._lab(name)[2]).rstrip("/"), time.monotonic()
        authority = self.certificates[holder][0]
        until(lambda: asyncio.run(_status(address, authority, "/api")) == 200, 10, "it answers", every=0.02)
        print(f"{address} answered {time.monotonic() - began:.2f} s after the site said so")
        return address

    def stop(self, name: str) -> None:
        self.stack.shell(STOP.format(name=name))

    def conditions(self, name: str) -> dict[str, str]:
        """What the Gateway says of a lab's route."""
        route = _object_of(self.plane.client(), "HTTPRoute", name)
        parents = route.get("status", {}).get("parents", [])
        return {one["type"]: one["status"] for parent in parents for one in parent["conditions"]}

    def _lab(self, name: str) -> list[Any]:
        found: list[Any] = json.loads(self.stack.shell(LAB.format(name=name)))
        return found


def domain(holder: str) -> str:
    """One for each certificate: by a host name that two are for, the controller would take either."""
    return f"{holder}.example.org"


def missing() -> str:
    """Why this cannot be tried here, in one line; empty when it can."""
    return programs.missing() or programs.INGRESS.missing() or own_network.missing() or NO_IMAGES


@pytest.fixture(scope="module")
def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if why := missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("traefik")
    certificates = {holder: certificate_for(x509.DNSName(f"*.{domain(holder)}")) for _, holder in WAYS.values()}
    with own_network.entered(), ControlPlane.start(folder / "plane") as plane:
        traefik.install_gateway_api(plane)
        traefik.install_classes(plane)
        traefik.install_gateway(plane, "gateways", "labs", domain("gateway"), *certificates["gateway"])
        traefik.attach(plane, *certificates["controller"])
        account = site_account.make(plane.kubeconfig, folder)
        options = ("--pod-network", own_network.PODS)
        url = databases.sqlite(folder / "site.sqlite3", demo=True)
        stack = Stack(folder / "stack", database_url=url, plane=plane, account=account, node_options=options)
        try:
            stack.start()
            plane.stop_one(INGRESS)  # the embedded one: nothing but Traefik is to answer
            until(lambda: plane.client().list("ServiceAccount", NAMESPACE).items, 60, "the namespace is there")
            traefik.copy_certificate(plane, NAMESPACE, "wildcard", *certificates["namespace"])
            yield Place(stack, plane, certificates)
        finally:
            stack.stop()


@pytest.mark.parametrize("way", WAYS)
def test_a_lab_answers_by_https_at_its_own_name_until_it_ends(place: Place, way: str) -> None:
    values, holder = WAYS[way]
    place.set(domain(holder), values)
    address, authority = place.launch(holder, holder), place.certificates[holder][0]
    assert address == f"https://{holder}.{domain(holder)}"
    if holder == "gateway":
        until(
            lambda: place.conditions(holder) == {"Accepted": "True", "ResolvedRefs": "True"}, 10, "the route is taken"
        )
    asyncio.run(_work(address, authority))
    asyncio.run(_only_there(address, authority))
    place.stop(holder)
    stopped = time.monotonic()
    until(lambda: _is_gone(address, authority), 10, "it is gone", every=0.02)
    gone = time.monotonic() - stopped
    if holder == "namespace":
        until(lambda: not _has_certificate(address, authority), 10, "it goes with the last Ingress that names it")
    print(f"gone {gone:.2f} s after its stop")
    assert gone < 5


async def _status(address: str, authority: str, path: str = "/") -> int:
    async with Visitor(address, authority) as visitor:
        return await visitor.status(path)


def _is_gone(address: str, authority: str) -> bool:
    return not _has_certificate(address, authority) or asyncio.run(_status(address, authority)) == 404


def _has_certificate(address: str, authority: str) -> bool:
    try:
        return bool(asyncio.run(_status(address, authority)))
    except ClientConnectorCertificateError:
        return False


async def _work(address: str, authority: str) -> None:
    content = os.urandom(64 * 1024 * 1024)
    async with Visitor(address, authority) as visitor:
        assert (await visitor.sign_in("wrong"))[0] == 401
        assert await visitor.status("/api/contents") == 403
        answer, cookies = await visitor.sign_in(PASSWORD)
        assert answer == 302
        assert all("Secure" in cookie for cookie in cookies), "the lab knows that it is reached by https"
        assert await visitor.compute("print(6*7)") == "42\n"
        began = time.monotonic()
        assert await visitor.upload("big", content) == 201
        assert await visitor.digest("big") == hashlib.sha256(content).hexdigest()
        print(f"64 MiB there and back in {time.monotonic() - began:.1f} s")


async def _only_there(address: str, authority: str) -> None:
    assert await _status(address.replace("https:", "http:"), authority) == 404, "by http there is no way"
    other = address.replace("https://", "https://no-")
    assert await _status(other, authority) == 404


@pytest.mark.browser
@pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
def test_a_browser_works_in_a_lab(place: Place) -> None:
    """With HTTP/2 and web sockets beside it, as no other client here."""
    place.set(domain("controller"), {})
    address = place.launch("seen", "controller")
    with chromium("--host-resolver-rules=MAP *.example.org 127.0.0.1") as browser:
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(address)
        compute_in(page, PASSWORD)
        protocols = page.evaluate("performance.getEntriesByType('resource').map(one => one.nextHopProtocol)")
    place.stop("seen")
    assert "h2" in protocols


def test_an_entry_point_that_does_not_wait_ends_slow_uploads_and_no_web_sockets(place: Place) -> None:
    """Why docs/operators.md asks for `readTimeout=0`. By its own annotations the cluster has labs at both entry points."""
    authority = place.certificates["controller"][0]
    place.set(domain("controller"), {"ingress_annotations": {ENTRY_POINTS: "websecure,impatient"}})
    address = place.launch("slow", "controller")
    answers = asyncio.run(_take_long([address, f"{address}:{traefik.IMPATIENT}"], authority))
    place.stop("slow")
    assert [said for said, _ in answers] == ["42\n", "42\n"]
    patient, impatient = (taken for _, taken in answers)
    assert patient == 201
    assert impatient in (0, 499, 504)


async def _take_long(addresses: list[str], authority: str) -> list[tuple[str, int]]:
    """At each address, what a kernel said after a silence, and the answer to an upload with a pause in it, 0: none."""

    async def one(address: str) -> tuple[str, int]:
        async with Visitor(address, authority) as visitor:
            assert (await visitor.sign_in(PASSWORD))[0] == 302
            said = await visitor.compute("print(6*7)", silence=PAUSE)
            with contextlib.suppress(ClientConnectionError):
                return said, await visitor.upload("slow", os.urandom(1024 * 1024), pause=PAUSE)
            return said, 0

    return await asyncio.gather(*map(one, addresses))


def _object_of(client: Client, kind: str, lab: str) -> dict[str, Any]:
    [found] = [one for one in client.list(kind, NAMESPACE).items if one["metadata"]["name"].startswith(f"{lab}-")]
    return found
