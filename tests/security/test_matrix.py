"""The permission matrix: every address of the site, by GET and POST, for everybody (the answers stand in matrix_table.py)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.http.cookie import SimpleCookie
from django.test import Client
from django.urls import URLResolver
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.signing import SignedPackage

from accounts.models import Letter, Mail, MailKind, MailTemplate, Role, Status, User
from accounts.models.roster import RosterUpload
from labs.models import Instance
from labs.models.class_run import ClassRun, SavedLaunch
from tests.console.conftest import Side, make_side
from tests.factories import MembershipFactory, TemplateFactory, UserFactory
from tests.support.addresses import Address, addresses, expanded

from .matrix_table import ROLES, ROWS

#: For the tables; what the tests write is within the transaction of `stage`.
pytestmark = [pytest.mark.django_db, pytest.mark.slow]
ADDRESSES = addresses()
TABLE = {name: {"GET": get, "POST": post} for get, post, names in ROWS for name in expanded(names)}
LETTERS = {403: "x", 404: "m", 405: "n", 400: "b", 401: "u"}
#: Parameters of addresses that name no object of an instance.
FIXED = {
    "service": "jupyterlab", "app_label": "labs", "key": "no-such-key", "uidb36": "1", "url": "nothing/here/",
    "provider_id": "no-such-provider", "token": "1-1-0.not-the-signature",
}  # fmt: skip
#: A key that no object has, in the place of the parameter that names one.
NOBODYS = {"slug": "no-such-instance", "pk": "00000000-0000-4000-8000-000000000000", "object_id": "987654321"}
#: The comparison of an uploaded roster that changes nothing.
NOTHING_NEW = {"counts": dict.fromkeys(("new", "changed", "unchanged", "wrong", "missing"), 0), "samples": {}}
#: What is different each time, on pages that say the same.
CHANGING = re.compile(r'name="now" content="[^"]*"|[A-Za-z0-9]{64}')


@dataclass(frozen=True)
class Stage:
    """One world for all of these tests. What a request changes is taken back after it."""

    mine: Side
    cookies: dict[str, SimpleCookie]
    objects: dict[str, Any]
    #: One for all: to load the middleware takes longer than most answers.
    client: Client

    def ask(self, role: str, method: str, path: str) -> Any:
        self.client.cookies = SimpleCookie({key: morsel.value for key, morsel in self.cookies[role].items()})
        sent: dict[str, Any] = {"data": {"post": "yes"}} if method == "POST" else {}
        if method == "POST" and path.startswith("/api/"):
            sent = {"data": "{}", "content_type": "application/json"}
        with transaction.atomic():
            response = getattr(self.client, method.lower())(path, **sent)
            transaction.set_rollback(True)
        return response

    def path(self, address: Address, *, missing: bool = False) -> str:
        model = (
            address.name.removeprefix("admin:").rsplit("_", 1)[0] if address.is_named else address.route.split("<")[0]
        )
        nobodys = NOBODYS | ({"pk": "987654321"} if "<int:pk>" in address.route else {})
        values = {**FIXED, "slug": self.mine.instance.slug, "pk": self.mine.lab.pk}
        if "pk" in address.parameters and address.name in self.objects:
            values["pk"] = self.objects[address.name].pk
        elif "<int:pk>" in address.route:
            values["pk"] = nobodys["pk"]
        if "object_id" in address.parameters:
            known = [key for key in self.objects if _is_of(key, model)]
            assert known, f"{address.name} is of a model without an object here: add one to _objects"
            values["object_id"] = self.objects[max(known, key=len)].pk
        return address.path(values | nobodys if missing else values)


def _is_of(key: str, model: str) -> bool:
    """`labs_lab` is the model of `labs_lab_log` and of `console/labs/lab/`."""
    return model.replace("/", "_").strip("_").removeprefix("console_").startswith(key)


@pytest.fixture(scope="module")
def stage(django_db_setup: None, django_db_blocker: Any) -> Iterator[Stage]:
    with django_db_blocker.unblock(), transaction.atomic():
        template = TemplateFactory()
        mine, theirs = make_side("Mine", template), make_side("Theirs", template)
        # Not listed, so that it is as missing as a console's page for those who are not in it.
        Instance.objects.filter(pk=mine.instance.pk).update(is_public=False)
        cookies = {role: _cookies(person) for role, person in _people(mine, theirs).items()}
        yield Stage(
            mine, {"anonymous": SimpleCookie(), **cookies}, _objects(mine), Client(raise_request_exception=False)
        )
        transaction.set_rollback(True)


def _people(mine: Side, theirs: Side) -> dict[str, User]:
    return {
        "signed in": UserFactory(),
        "requested": mine.request.user,
        "member": mine.member.user,
        "staff": MembershipFactory(instance=mine.instance, role=Role.STAFF).user,
        "owner": mine.owner,
        "other owner": theirs.owner,
        "suspended": MembershipFactory(instance=mine.instance, role=Role.OWNER, status=Status.SUSPENDED).user,
        "administrator": UserFactory(is_superuser=True),
    }


def _cookies(person: User) -> SimpleCookie:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client.cookies


def _objects(mine: Side) -> dict[str, Any]:
    """One object for each model of the console, and for each address whose key is not a lab's: add a line for a new one."""
    saved = SavedLaunch.objects.create(instance=mine.instance, template=mine.lab.template, title="Week 1")
    later = timezone.now() + datetime.timedelta(hours=1)
    run = {"func": "labs.tasks.run_sweep", "started": timezone.now(), "stopped": timezone.now()}
    task = SignedPackage.dumps({"id": "w" * 32, "name": "waits", "func": "labs.tasks.run_sweep"})
    mail = {"instance": mine.instance, "recipient": mine.member.user.email, "user": mine.member.user}
    return {
        "accounts_letter": Letter.objects.create(
            instance=mine.instance, author=mine.owner, subject="Hello", text="Hello", count=1
        ),
        "accounts_mail": Mail.objects.create(key="matrix", kind=MailKind.ACCESS_APPROVED, **mail),
        "accounts_mailtemplate": MailTemplate.objects.create(
            instance=mine.instance, kind=MailKind.INVITATION, subject="Come"
        ),
        "accounts_membership": mine.member,
        "accounts_user": mine.member.user,
        "django_q_failure": Failure.objects.create(id="f" * 32, name="failed", success=False, **run),
        "django_q_ormq": OrmQ.objects.create(key="tests", payload=task, lock=timezone.now()),
        "django_q_schedule": Schedule.objects.create(name="planned", func="labs.tasks.run_sweep"),
        "django_q_success": Success.objects.create(id="s" * 32, name="done", success=True, **run),
        "labs_cluster": mine.instance.places.get().cluster,
        "labs_event": mine.event,
        "labs_instance": mine.instance,
        "labs_lab": mine.lab,
        "labs_quota": mine.default,
        "labs_servicetemplate": mine.lab.template,
        **dict.fromkeys(("class-start", "class-stop", "class-remove"), saved),
        "class-run": ClassRun.objects.create(instance=mine.instance, saved=saved),
        "roster-preview": RosterUpload.objects.create(
            instance=mine.instance, user=mine.owner, expires_at=later, preview=NOTHING_NEW, state="ready"
        ),
    }


def letter(response: Any) -> str:
    if response.status_code in (301, 302, 303, 307):
        return "s" if response["Location"].startswith("/accounts/login/") else "r"
    return "o" if response.status_code < 300 else LETTERS.get(response.status_code, "!")


def answers(stage: Stage, name: str, method: str) -> str:
    cache.clear()
    path = stage.path(ADDRESSES[name])
    return "".join(letter(stage.ask(role, method, path)) for role in ROLES)


def test_every_address_has_its_row(stage: Stage) -> None:
    new = [
        f'    ("{answers(stage, name, "GET")}", "{answers(stage, name, "POST")}", "{name}"),'
        for name in ADDRESSES
        if name not in TABLE
    ]
    assert not new, (
        "Addresses without a row in tests/security/matrix_table.py. This is what they answer now, for "
        f"{', '.join(ROLES)}. Look whether that is right for everybody, then add:\n" + "\n".join(new)
    )


def test_every_row_is_of_an_address() -> None:
    gone = sorted(set(TABLE) - set(ADDRESSES))
    assert not gone, f"Rows of tests/security/matrix_table.py whose address is gone: take them out: {gone}"
    names = [name for _, _, names in ROWS for name in expanded(names)]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"Two rows for one address: {twice}"


@pytest.fixture
def bare_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an error only the status counts; to draw its page takes longer than most answers."""

    def handler(resolver: URLResolver, status: int) -> Any:
        return lambda request, exception=None: HttpResponse(status=status)

    monkeypatch.setattr(URLResolver, "resolve_error_handler", handler)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", sorted(TABLE))
@pytest.mark.usefixtures("bare_errors")
def test_who_gets_what(stage: Stage, name: str, method: str) -> None:
    found, wanted = answers(stage, name, method), TABLE[name][method]
    differ = [f"{role}: {has}, not {want}" for role, has, want in zip(ROLES, found, wanted, strict=True) if has != want]
    assert not differ, f"{method} {ADDRESSES[name].route} answers {found}, and {wanted} is wanted ({'; '.join(differ)})"


#: Addresses of something that belongs to an instance, or to a person in it.
OF_OBJECTS = sorted(name for name, address in ADDRESSES.items() if set(address.parameters) & set(NOBODYS))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", OF_OBJECTS)
def test_not_yours_is_the_same_answer_as_not_there(stage: Stage, name: str, method: str) -> None:
    """To the letter, for everybody who is told that it is missing; and what nobody has is there for nobody."""
    address, row = ADDRESSES[name], TABLE[name][method]
    there, nowhere = stage.path(address), stage.path(address, missing=True)
    # An answer that comes before anybody has looked for the object tells nothing of it.
    blind = "sxn" if "m" in row else "sxnbr"
    for role, expected in zip(ROLES, row, strict=True):
        missing = stage.ask(role, method, nowhere)
        if expected == "m":
            foreign = stage.ask(role, method, there)
            assert (letter(foreign), _words(foreign, there)) == (letter(missing), _words(missing, nowhere)), role
        else:
            assert letter(missing) in ("m", expected if expected in blind else "m"), role


def _words(response: Any, path: str) -> str:
    return CHANGING.sub("", response.text).replace(path, "")
