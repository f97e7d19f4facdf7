"""What the embedded API server does on demand, so that tests can see what becomes of it; no real one does."""

from tests.support.devcluster import DevCluster

from .apiserver_support import APPLY, MERGE, Space, config_map
from .test_apiserver_watch import watch


def test_kubeconfig_and_state_are_for_the_owner_only(embedded: DevCluster) -> None:
    for name in ("kubeconfig", "token", "tls.pem", "journal.jsonl"):
        assert (embedded.dir / name).stat().st_mode & 0o077 == 0, name


def test_faults_strike_whom_they_should(embedded: DevCluster, embedded_space: Space) -> None:
    try:
        embedded.faults(error_rate=1, codes=[503], except_user_agent="devcluster-kubelet")
        assert embedded_space.call("GET", "pods").code == 503
        assert embedded_space.call("GET", "pods", user_agent="devcluster-kubelet").code == 200
        embedded.faults(error_rate=1, only=["PATCH"])
        assert embedded_space.call("GET", "pods").code == 200
        assert embedded_space.call("PATCH", "configmaps/a", {}, content=MERGE).code == 500
    finally:
        embedded.faults()


def test_calls_are_counted(embedded: DevCluster, embedded_space: Space) -> None:
    embedded.forget_calls()
    embedded_space.call("GET", "pods")
    embedded_space.call("PATCH", "configmaps/a?fieldManager=x", config_map("a"), content=APPLY, user_agent="other/1")
    assert embedded.calls() == {("list", "Pod"): 1, ("apply", "ConfigMap"): 1}
    assert embedded.calls("other") == {("apply", "ConfigMap"): 1}


def test_a_version_that_is_forgotten_is_gone(embedded: DevCluster, embedded_space: Space) -> None:
    version = embedded_space.get("configmaps")["metadata"]["resourceVersion"]
    embedded_space.make("configmaps", config_map("a"))
    embedded.compact()
    with watch(embedded_space, f"resourceVersion={version}") as changes:
        kind, status = next(changes)
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert status["message"].startswith("too old resource version: ")
        assert list(changes) == []


def test_watches_are_dropped_on_demand(embedded: DevCluster, embedded_space: Space) -> None:
    try:
        embedded.faults(drop_watches_after_seconds=0.2)
        version = embedded_space.get("configmaps")["metadata"]["resourceVersion"]
        with watch(embedded_space, f"resourceVersion={version}") as changes:
            assert list(changes) == []
    finally:
        embedded.faults()
