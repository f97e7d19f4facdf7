"""The one way to a Kubernetes API server: plain dicts in and out, a time-out on every call, four errors of our own."""

import copy
import datetime
import json
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from os import PathLike
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import urllib3

from k8s.errors import Conflict, Error, Gone, NotFound, Rejected, Unavailable, from_status
from k8s.kinds import KINDS, path
from k8s.stream import Watch, read
from k8s.transport import Transport

__all__ = ["KINDS", "Client", "Conflict", "Error", "Gone", "Listing", "NotFound", "Rejected", "Unavailable", "Watch"]


_METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 3.0
#: Part of the version by which the embedded cluster tells what it is.
EMBEDDED = "devcluster"
#: Objects a page of a long list, as with client-go: the server need not hold the whole of a list in memory.
PAGE_SIZE = 500


@dataclass(frozen=True)
class Listing:
    """A list of objects, and the version of the whole from which a watch can go on."""

    items: list[dict[str, Any]]
    resource_version: str
    #: Names the next page of a list that was asked for with a limit; empty on the last.
    next_page: str = ""


@dataclass(frozen=True)
class Greeting:
    """What an API server says of itself; its clock to the second, None when it does not tell."""

    version: str
    clock: datetime.datetime | None

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded cluster, for laptops."""
        return EMBEDDED in self.version


class Client:
    """Speaks to one API server. Thread-safe; its connections are pooled and reused."""

    def __init__(self, transport: Transport, *, timeout: float = 10.0, retries: int = 3) -> None:
        """`timeout`: seconds to connect, and again to wait for data. `retries`: further tries after a fault."""
        self._transport = transport
        self._timeout = timeout
        self._retries = retries
        self._lock = threading.Lock()
        #: HTTP requests sent, by verb; a retry counts again.
        self.calls: Counter[str] = Counter()

    @classmethod
    def from_kubeconfig(
        cls,
        source: str | PathLike[str] | dict[str, Any],
        *,
        folder: Path | None = None,
        timeout: float = 10.0,
        retries: int = 3,
    ) -> Self:
        """A client for the current context of a kubeconfig, as `Transport.from_kubeconfig` takes it. Raises Unavailable."""
        return cls(Transport.from_kubeconfig(source, folder=folder), timeout=timeout, retries=retries)

    @classmethod
    def from_in_cluster(cls, *, timeout: float = 10.0, retries: int = 3) -> Self:
        """A client with the service account of the pod that this runs in. Raises Unavailable outside a pod."""
        return cls(Transport.from_in_cluster(), timeout=timeout, retries=retries)

    @property
    def server(self) -> str:
        """The name or address of the API server."""
        return urlsplit(self._transport.host).hostname or ""

    def close(self) -> None:
        """Drops the pooled connections; the client can still be used."""
        self._transport.close()

    def impatient(self, timeout: float) -> Self:
        """The same connections with another time-out (seconds) and no second try: for what soon loses its sense."""
        other = copy.copy(self)
        other._timeout, other._retries = timeout, 0
        return other

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        """One object. Raises NotFound."""
        found: dict[str, Any] = self._json("get", "GET", path(kind, namespace, name))
        return found

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
        limit: int = 0,
        page: str = "",
    ) -> Listing:
        """All objects of a kind, in one namespace or in all, that match a label and a field selector.

        With `metadata_only` the server sends no spec and no status. With `limit` at most so many, and `page` goes on
        where the last page ended. Raises Gone when a page has been waited with for too long (minutes).
        """
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(limit or ""), "continue": page}
        headers = {"Accept": _METADATA_LIST} if metadata_only else {}
        found = self._json("list", "GET", path(kind, namespace), query=query, headers=headers)
        items = found.get("items") or []
        if not metadata_only:
            for item in items:  # the items of a list come without them
                item.setdefault("apiVersion", KINDS[kind].api_version)
                item.setdefault("kind", kind)
        metadata = found.get("metadata", {})
        return Listing(items, str(metadata.get("resourceVersion", "")), str(metadata.get("continue") or ""))

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        """A new object. Raises Conflict when there is one of the name, NotFound (no such namespace), Rejected."""
        return self._write("create", "POST", obj)

    def replace(self, obj: dict[str, Any]) -> dict[str, Any]:
        """The object as a whole, only if it is still at the resourceVersion that it names (compare-and-swap).

        Raises Conflict when it is not, NotFound, Rejected.
        """
        return self._write("replace", "PUT", obj)

    def _write(self, verb: str, method: str, obj: dict[str, Any]) -> dict[str, Any]:
        where = obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"] if method == "PUT" else ""
        headers = {"Content-Type": "application/json"}
        written: dict[str, Any] = self._json(verb, method, path(*where), headers=headers, body=obj, about=obj["kind"])
        return written

    def apply(self, obj: dict[str, Any], *, manager: str = "mlsite", force: bool = True) -> dict[str, Any]:
        """Makes the object so, whether it exists or not (server-side apply), in one call. Returns the whole object.

        Raises NotFound (no such namespace), Conflict (another manager's field, without `force`), Rejected.
        """
        kind, metadata = obj["kind"], obj["metadata"]
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        applied: dict[str, Any] = self._json(
            "apply",
            "PATCH",
            path(kind, metadata.get("namespace"), metadata["name"]),
            query=query,
            headers={"Content-Type": "application/apply-patch+yaml"},  # JSON is YAML
            body=json.dumps(obj),
            about=kind,
        )
        return applied

    def merge(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Sets what `obj` says of an object that is there, and leaves the rest (JSON Merge Patch, RFC 7386). Returns the whole.

        Raises NotFound, Conflict (`metadata.uid` names another object), Rejected.
        """
        kind, metadata = obj["kind"], obj["metadata"]
        headers = {"Content-Type": "application/merge-patch+json"}
        where = path(kind, metadata.get("namespace"), metadata["name"])
        merged: dict[str, Any] = self._json("merge", "PATCH", where, headers=headers, body=obj, about=kind)
        return merged

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
        propagation: str = "Background",
    ) -> bool:
        """Asks for the removal of an object. False: it was not there.

        With `uid`, an object of the same name that is not this one stays, and the answer is False too.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            self._json(
                "delete",
                "DELETE",
                path(kind, namespace, name),
                headers={"Content-Type": "application/json"},
                body=options,
            )
        except NotFound:
            return False
        except Conflict as conflict:
            if uid is not None and "precondition" in conflict.message.lower():
                return False
            raise
        return True

    def delete_selected(self, kind: str, namespace: str, *, labels: str) -> None:
        """Asks for the removal of all objects of a kind in one namespace that match a label selector, unseen.

        Not of Secrets: the API server answers such a call with their content, so the site has no right to it.
        """
        if kind == "Secret":
            raise ValueError("Secrets are deleted one by one: the answer to this call would hold their content.")
        if not labels or not namespace:
            raise ValueError("Which ones? Without a selector and a namespace it would be all.")
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        # The answer would bring their content along.
        headers = {"Content-Type": "application/json", "Accept": _METADATA_LIST}
        self._body(
            "delete", "DELETE", path(kind, namespace), query={"labelSelector": labels}, headers=headers, body=options
        )

    def watch(
        self,
        kind: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        resource_version: str,
        timeout_seconds: int,
    ) -> "Watch":
        """Changes since `resource_version`, as (type, object), until the server ends it after `timeout_seconds`.

        Types: ADDED, MODIFIED, DELETED, BOOKMARK. Raises Gone when the version is too old (list again), Unavailable
        when the connection breaks or stays silent for longer than the server had promised.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": labels,
            "fieldSelector": fields,
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        response = self._send(
            "watch", "GET", path(kind, namespace), query=query, read_timeout=timeout_seconds + self._timeout
        )
        return Watch(response, conceal=self._transport.conceal)

    def logs(
        self,
        name: str,
        namespace: str,
        *,
        container: str | None = None,
        tail_lines: int = 200,
        limit_bytes: int = 65536,
        previous: bool = False,
    ) -> str:
        """The end of a container's output. Raises NotFound, Rejected (it has not started yet, or has no earlier run)."""
        query = {
            "container": container or "",
            "tailLines": str(tail_lines),
            "limitBytes": str(limit_bytes),
            "previous": "true" if previous else "",
        }
        text = self._body("logs", "GET", f"{path('Pod', namespace, name)}/log", query=query).decode(errors="replace")
        return self._transport.conceal(text)

    def version(self) -> str:
        """The version of the API server, such as "v1.36.3"."""
        return self._transport.conceal(str(self._json("version", "GET", "/version").get("gitVersion", "")))

    def greet(self) -> Greeting:
        """Version and clock of the API server. One try: a clock that is asked again is late. Raises Unavailable."""
        response = self._send("version", "GET", "/version")
        content = read(response)
        with suppress(ValueError, AttributeError, RecursionError):
            version = self._transport.conceal(str(json.loads(content).get("gitVersion", "")))
            return Greeting(version, _moment(response.headers.get("Date", "")))
        raise Unavailable("The cluster sent something else than its version; is this address an API server?")

    def may(self, verb: str, group: str, resource: str, subresource: str = "", namespace: str = "") -> bool:
        """Whether this account may do that, in the namespace or, without one, in all of them."""
        attributes = {
            "verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace,
        }  # fmt: skip
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._json(
            "review",
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            headers={"Content-Type": "application/json"},
            body=review,
        )
        return bool(answer.get("status", {}).get("allowed"))

    def _json(self, verb: str, method: str, url_path: str, **options: Any) -> Any:
        content = self._body(verb, method, url_path, **options)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Unavailable("The cluster sent something that is not a JSON object; is this address an API server?")
        return found

    def _body(self, verb: str, method: str, url_path: str, **options: Any) -> bytes:
        """The content of a call that may safely be repeated, tried again after a fault that may pass."""
        for attempt in range(self._retries + 1):
            try:
                response = self._send(verb, method, url_path, **options)
                return read(response)
            except Unavailable as problem:
                if attempt == self._retries or not problem.passing:
                    raise
                delay = min(_FIRST_DELAY * 2**attempt, _LONGEST_DELAY)
                time.sleep(min(max(random.uniform(delay / 2, delay), problem.retry_after), _LONGEST_DELAY))  # noqa: S311
        raise AssertionError("unreachable")

    def _send(
        self,
        verb: str,
        method: str,
        url_path: str,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
        read_timeout: float | None = None,
        about: str = "",
    ) -> urllib3.BaseHTTPResponse:
        """One HTTP request; the answer's content is not yet read. Raises one of our errors."""
        with self._lock:
            self.calls[verb] += 1
        sent = {"Accept": "application/json", **(headers or {})}
        filled = {key: value for key, value in (query or {}).items() if value}
        response = self._transport.request(
            method,
            url_path + ("?" + urlencode(filled) if filled else ""),
            headers=sent,
            body=body,
            timeout=(self._timeout, read_timeout or self._timeout),
        )
        if 200 <= response.status <= 299:
            return response
        raise from_status(
            response.status, read(response), response.headers.get("Retry-After", ""),
            about=about, conceal=self._transport.conceal,
        )  # fmt: skip


def _moment(date: str) -> datetime.datetime | None:
    """What a Date header says; None when it says nothing that can be read."""
    with suppress(ValueError, TypeError):
        found = parsedate_to_datetime(date)
        return found if found.tzinfo else None
    return None
