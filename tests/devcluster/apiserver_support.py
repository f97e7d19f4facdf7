"""What the tests of the API server share: one server a module, a namespace a test, and plain objects."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.support.cluster import Cluster

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json"
#: A ConfigMap that every namespace has.
ROOT = "kube-root-ca.crt"


@dataclass
class Answer:
    """The status and the decoded body of an answer."""

    code: int
    body: Any

    @property
    def message(self) -> str:
        """What the Status says."""
        return str(self.body["message"])


@dataclass
class Space:
    """A namespace of a test's own."""

    cluster: Cluster
    name: str

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = JSON,
        accept: str = JSON,
        user_agent: str = "tests",
    ) -> Answer:
        """One request; a path that does not begin with / is of this namespace, in the core group."""
        url = path if path.startswith("/") else f"/api/v1/namespaces/{self.name}/{path}"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {self.cluster.token}",
            "Content-Type": content,
            "Accept": accept,
            "User-Agent": user_agent,
        }
        request = urllib.request.Request(self.cluster.api_url + url, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.cluster.tls()) as response:
                return Answer(response.status, _decode(response.read()))
        except urllib.error.HTTPError as problem:
            return Answer(problem.code, _decode(problem.read()))

    def make(self, plural: str, body: Object) -> Object:
        """Create; the object. Fails when it is refused."""
        answer = self.call("POST", plural, body)
        assert answer.code == 201, answer.body
        made: Object = answer.body
        return made

    def get(self, path: str) -> Object:
        """Read; the object. Fails when it is not there."""
        answer = self.call("GET", path)
        assert answer.code == 200, answer.body
        found: Object = answer.body
        return found

    def gone(self, path: str) -> bool:
        """Whether there is nothing."""
        return self.call("GET", path).code == 404

    def apply(self, path: str, body: Object, manager: str = "one", *, force: bool = False) -> Answer:
        """Server-side apply."""
        return self.call("PATCH", f"{path}?fieldManager={manager}&force={str(force).lower()}", body, content=APPLY)


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


def pod(name: str, **spec: Any) -> Object:
    """A pod of one container."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "busybox:1"}], **spec},
    }


def needs(name: str, requests: Object | None = None, limits: Object | None = None, **spec: Any) -> Object:
    """A pod that asks for resources."""
    resources = {"requests": requests or {}, "limits": limits or {}}
    return pod(name, containers=[{"name": "c", "image": "busybox:1", "resources": resources}], **spec)


def config_map(name: str, data: Object | None = None, **meta: Any) -> Object:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data or {}}


def owner(of: Object, **more: Any) -> Object:
    """An ownerReference."""
    meta = of["metadata"]
    return {"apiVersion": of["apiVersion"], "kind": of["kind"], "name": meta["name"], "uid": meta["uid"], **more}


def node(space: Space, name: str, **amounts: str) -> None:
    """A node that is ready and has these amounts."""
    space.call("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    room = {"cpu": "4", "memory": "8Gi", "pods": "110", **amounts}
    status = {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]}
    # Where no controller of nodes runs, the one who makes a node says that it is ready for pods.
    space.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None}}, content=MERGE)
    answer = space.call("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, content=MERGE)
    assert answer.code == 200, answer.body
