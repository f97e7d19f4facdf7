"""The command lines of the programs."""

from collections.abc import Iterator
from pathlib import Path

from .identity import Identity

#: A control plane that has been used for a while has a heap of some hundred MiB, and collects its garbage seldom. A new one has next
#: to none and collects all the time, which is an eighth of the API server's work. This gives it the habits of the old one.
ENVIRONMENT = {"GOGC": "400"}


def commands(folder: Path, identity: Identity) -> Iterator[tuple[str, list[str]]]:
    """The arguments of each program, in the order in which they must be started."""
    yield "etcd", _etcd(folder, identity)
    yield "kube-apiserver", _apiserver(folder, identity)
    yield "kube-controller-manager", _controller_manager(folder, identity)
    yield "kube-scheduler", _scheduler(folder, identity)


def _etcd(folder: Path, identity: Identity) -> list[str]:
    clients, peers = identity.url("etcd"), identity.url("etcd-peer")
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",  # fast; a test's cluster need not outlive the machine's power
        "--log-level=warn",
    ]


def _apiserver(folder: Path, identity: Identity) -> list[str]:
    return [
        f"--etcd-servers={identity.url('etcd')}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={identity.ports['kube-apiserver']}",
        f"--tls-cert-file={identity.certificate}",
        f"--tls-private-key-file={identity.certificate}",
        f"--token-auth-file={identity.tokens}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={identity.account_key}",
        f"--service-account-signing-key-file={identity.account_key}",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        "--allow-privileged=true",
        "--profiling=false",
        f"--audit-policy-file={identity.audit_policy}",
        f"--audit-log-path={folder / 'log' / 'audit.jsonl'}",
        "--audit-log-mode=blocking",  # a call that was answered is in the log
        "--audit-log-maxsize=4096",  # MB: never rotated within a test
    ]


def _controller_manager(folder: Path, identity: Identity) -> list[str]:
    name = "kube-controller-manager"
    return [
        f"--kubeconfig={identity.kubeconfig(name)}",
        "--bind-address=127.0.0.1",
        f"--secure-port={identity.ports[name]}",
        f"--cert-dir={folder / 'pki' / name}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={identity.account_key}",
        f"--root-ca-file={identity.authority}",
        # Nodes of a test send no leases. So nobody takes the not-ready taint off a new node either: whoever makes it does.
        "--controllers=*,-node-lifecycle-controller",
    ]


def _scheduler(folder: Path, identity: Identity) -> list[str]:
    name = "kube-scheduler"
    return [
        f"--kubeconfig={identity.kubeconfig(name)}",
        "--bind-address=127.0.0.1",
        f"--secure-port={identity.ports[name]}",
        f"--cert-dir={folder / 'pki' / name}",
        "--leader-elect=false",
    ]
