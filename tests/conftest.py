"""Fixtures that all tests share."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s.client import Client
from tests.controlplane import programs
from tests.support import site_account as site_account_of
from tests.support.controlplane import ControlPlane, audit_of
from tests.support.databases import Databases
from tests.support.devcluster import DevCluster
from tests.support.postgres import binaries
from tests.support.racers import Racers
from tests.support.room import Room
from tests.support.site import environment


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Databases:
    """The run's prepared databases, of which each site gets a copy."""
    return request.config.stash[_DATABASES]


@pytest.fixture(scope="session")
def postgres(databases: Databases) -> Databases:
    """The same; skipped, with the reason, where PostgreSQL is not installed."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    return databases


@pytest.fixture
def demo_on_postgres(postgres: Databases) -> str:
    """A database with the demo in it, of the kind that production has."""
    return postgres.postgres(demo=True)


@pytest.fixture
def database_url(database_url_of: Callable[[], str]) -> str:
    """A database with the site's tables for programs that the test starts, once on each kind."""
    return database_url_of()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def database_url_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes databases with the site's tables: the tests run once on each kind."""
    if request.param == "postgres":
        server: Databases = request.getfixturevalue("postgres")
        return server.postgres
    databases: Databases = request.getfixturevalue("databases")
    return lambda: databases.sqlite(tmp_path_factory.mktemp("database") / "site.sqlite3")


@pytest.fixture(scope="session")
def racers(database_url_of: Callable[[], str]) -> Iterator[Racers]:
    """Five programs of one site that do the same at the same moment, once on each kind of database."""
    with Racers(environment(database_url_of()), programs=5) as racers:
        yield racers


@pytest.fixture(scope="session")
def django_db_setup(databases: Databases, django_db_blocker: Any) -> Iterator[None]:
    """The tests' own database, in memory: a copy too, in the place of pytest-django's, which migrates for seconds.

    TEST_DATABASE_URL names one that is prepared already; it is used as it is.
    """
    from django.db import connection

    if os.environ.get("TEST_DATABASE_URL"):
        yield
        return
    creation, configured = connection.creation, connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["NAME"] = creation._get_test_db_name()
        connection.ensure_connection()
        with contextlib.closing(sqlite3.connect(databases.sqlite_template())) as prepared:
            prepared.backup(connection.connection)
    yield
    with django_db_blocker.unblock():
        creation.destroy_test_db(configured, verbosity=0)


@pytest.fixture(autouse=True, scope="session")
def _history_can_be_emptied_between_tests() -> Iterator[None]:
    """A test with real transactions empties all tables at its end; the history's own triggers refuse that anywhere else."""
    from django.db import connections
    from django.test import TransactionTestCase

    from labs.services.seal import seal, unseal

    empty = TransactionTestCase._fixture_teardown

    def open_and_empty(case: TransactionTestCase) -> None:
        for name in case._databases_names(include_mirrors=False):
            unseal(connections[name])
        empty(case)
        for name in case._databases_names(include_mirrors=False):
            seal(connections[name])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", open_and_empty)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--k8s", action="store_true", help="run the tests that need a real Kubernetes, too (make test-k8s)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Asked to end (a time limit of CI), tests end as with Ctrl-C: what they have started is ended first."""
    if hasattr(config, "workerinput"):
        config.stash[_DATABASES] = databases = Databases(Path(config.workerinput["databases"]))
        signal.signal(signal.SIGINT, _interrupt)
        mark = databases.folder / f"{_WORKER}{os.getpid()}"
        mark.touch()
        config.add_cleanup(mark.unlink)
    else:
        signal.signal(signal.SIGTERM, _interrupt)
        config.stash[_DATABASES] = databases = Databases.new()
        config.add_cleanup(databases.close)
        config.pluginmanager.register(_Ending(databases.folder))
    config.stash[_ROOM] = Room(databases.folder)


def _interrupt(number: int, _: object) -> None:
    """Once: a second interrupt would keep the tests from ending what they have started."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Ending:
    """Gives the processes of pytest-xdist time to end what they have started; it kills them after ten seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pytest_keyboard_interrupt(self) -> None:
        for mark in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(mark.name.removeprefix(_WORKER)), signal.SIGINT)
        deadline = time.monotonic() + 60
        while self._left() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _left(self) -> list[Path]:
        return list(self.folder.glob(f"{_WORKER}*"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist shares the run's databases."""
    node.workerinput["databases"] = str(node.config.stash[_DATABASES].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors, for many tests wait; not with a control plane each, which uses one by itself."""
    return len(os.sched_getaffinity(0)) + (not config.getoption("--k8s"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a real Kubernetes run when they are asked for: they take minutes, and Go for the first time."""
    items.sort(key=_rank)
    if not config.getoption("--k8s"):
        for item in items:
            if item.get_closest_marker("k8s"):
                item.add_marker(pytest.mark.skip(reason="needs a real Kubernetes: make test-k8s"))


def _rank(item: pytest.Item) -> int:
    """Long ones first, so that no process is left with one at the end; then those that make the others wait."""
    ranks = {"last": 3, "alone": 2, "slow": 0, "browser": 0}
    return next((rank for mark, rank in ranks.items() if item.get_closest_marker(mark)), 1)


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """With what it sets up and takes down, and before its time-out begins to count."""
    room, is_last = item.config.stash[_ROOM], item.get_closest_marker("last") is not None
    if is_last:
        room.wait_for(sum(one.get_closest_marker("last") is None for one in item.session.items))
    with room.entered(alone=item.get_closest_marker("alone") is not None):
        answer = yield
    if not is_last:
        room.count()
    return answer


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    told = config.stash[_DATABASES].folder / _VERSION
    if told.exists():
        terminalreporter.write_line(f"Kubernetes of these tests: {told.read_text()}")


#: Names of files that say which processes run tests, and of links to the folders of control planes.
_WORKER = "worker-"
_PLANE = "control-plane-"
#: Name of the file that says of which version Kubernetes is.
_VERSION = "kubernetes-version"
_DATABASES = pytest.StashKey[Databases]()
_ROOM = pytest.StashKey[Room]()


@pytest.fixture(scope="session")
def control_plane(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The process's own control plane, without nodes. Not to be broken or wiped: for that, a test starts one of its own."""
    if os.environ.get("KUBECONFIG"):
        pytest.skip("needs a control plane of the tests' own, and KUBECONFIG names another")
    if why := programs.missing():
        pytest.skip(why)
    with ControlPlane.start(tmp_path_factory.mktemp("controlplane")) as plane:
        (databases.folder / f"{_PLANE}{os.getpid()}").symlink_to(plane.folder)
        yield plane


@pytest.fixture
def calls_of_the_site(databases: Databases) -> list[dict[str, Any]]:
    """What the site's own account has asked of the control planes of all processes of the run so far."""
    planes = list(databases.folder.glob(f"{_PLANE}*"))
    calls = [call for plane in planes for call in audit_of(plane, site_account_of.USER)]
    if not calls:
        pytest.skip("the site did nothing in these tests")
    return calls


@pytest.fixture(scope="session")
def real_kubeconfig(request: pytest.FixtureRequest, databases: Databases) -> str:
    """An administrator's kubeconfig of a real Kubernetes: that of KUBECONFIG, or the session's own control plane."""
    path = os.environ.get("KUBECONFIG") or str(request.getfixturevalue("control_plane").kubeconfig)
    (databases.folder / _VERSION).write_text(Client.from_kubeconfig(path).version())
    return path


@pytest.fixture(scope="session")
def embedded_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The kubeconfig of an embedded API server without a node."""
    with DevCluster.start(tmp_path_factory.mktemp("apiserver")) as cluster:
        yield str(cluster.kubeconfig)


@pytest.fixture(scope="session", params=["embedded", pytest.param("real", marks=pytest.mark.k8s)])
def kubeconfig(request: pytest.FixtureRequest) -> str:
    """An administrator's kubeconfig of an API server, once the embedded one and once a real one."""
    return str(request.getfixturevalue(f"{request.param}_kubeconfig"))


@pytest.fixture(scope="session")
def site_account(real_kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of the site's own account on the real Kubernetes, with the rights of k8s/site/rbac.yaml."""
    return site_account_of.make(real_kubeconfig, tmp_path_factory.mktemp("site-account"))


@pytest.fixture(scope="session")
def site_kubeconfig(request: pytest.FixtureRequest, kubeconfig: str) -> str:
    """How the site comes to the cluster of `kubeconfig`: on a real one with no more than its own rights."""
    if "devcluster" in Client.from_kubeconfig(kubeconfig).version():
        return kubeconfig  # The embedded API server knows one user only.
    return str(request.getfixturevalue("site_account"))
