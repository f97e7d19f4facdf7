"""Why a lab does not start: on its page, in plain words, within ten seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.databases import Databases
from tests.support.stack import NO_IMAGES, Stack, until

pytestmark = [pytest.mark.slow, pytest.mark.alone]
PASSWORD = "open-the-labs"
#: No student has to know these.
JARGON = re.compile(r"forbidden|exceeded|kubelet|backoff|errimage|oomkill|namespace|unschedulable", re.I)

LAUNCH = """
from django.utils import timezone
from accounts.models import User
from labs.models import Instance, ServiceTemplate
from labs.services.launch import launch
lab = launch(actor=User.objects.get(email="member@example.org"), instance=Instance.objects.get(slug="physics-250"),
    template=ServiceTemplate.objects.get(slug="{slug}"),
    values={{"name": "{name}", "cpu": "0.25", "memory": "512", "lifetime": "60"}}, now=timezone.now())
print(lab.pk)
"""


@pytest.fixture(scope="module")
def site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if NO_IMAGES:
        pytest.skip(NO_IMAGES)
    folder = tmp_path_factory.mktemp("explained")
    stack = Stack(folder, database_url=databases.sqlite(folder / "site.sqlite3", demo=True))
    try:
        stack.start()
        stack.shell("import tests.support.failing")
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def member(site: Stack) -> requests.Session:
    """The demo's member, signed in."""
    session = requests.Session()
    page = session.get(f"{site.url}/accounts/login/", timeout=10)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token
    data = {"login": "member@example.org", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    answer = session.post(f"{site.url}/accounts/login/", data=data, headers={"Referer": site.url}, timeout=10)
    assert "mlsite_session" in session.cookies, answer.text[:500]
    return session


@pytest.mark.parametrize(
    ("way", "cause", "word"),
    [
        ("image", "image", "software"),
        ("crash", "crash", "ended"),
        ("memory", "out-of-memory", "memory"),
        ("quota", "quota", "used"),
    ],
)
def test_a_lab_that_cannot_start_is_explained_on_its_page_within_10_s(
    site: Stack, member: requests.Session, way: str, cause: str, word: str, tmp_path: Path
) -> None:
    slug = f"fails-{way}"
    if way == "quota":
        slug = "jupyterlab"
        _shrink_the_quota_behind_the_sites_back(site)
    pk = site.shell(LAUNCH.format(slug=slug, name=f"fails-{way}")).splitlines()[-1]
    begun = time.monotonic()

    def explained() -> str:
        page = member.get(f"{site.url}/labs/{pk}/", timeout=10)
        assert page.status_code == 200
        found = re.search(r'<[^>]+data-cause="([^"]*)"[^>]*>(.*?)</(?:section|div|article)>', page.text, re.S)
        return f"{found[1]}: {re.sub('<[^>]+>', ' ', found[2])}" if found else ""

    text = until(explained, 10, f"the page says why ({site.log('watcher')[-500:]})")
    print(f"{time.monotonic() - begun:.1f} s: {' '.join(text.split())}")
    assert text.startswith(cause), text
    assert word in text.lower(), text
    assert not JARGON.search(text), text


def _shrink_the_quota_behind_the_sites_back(site: Stack) -> None:
    """As an operator of the cluster would."""
    client = site.client()
    quota = client.list("ResourceQuota", "ml-physics-250").items[0]
    hard = {**quota["spec"]["hard"], "requests.memory": "100Mi"}
    client.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": quota["metadata"]["name"], "namespace": "ml-physics-250"},
            "spec": {"hard": hard},
        },
        manager="operator",
    )
