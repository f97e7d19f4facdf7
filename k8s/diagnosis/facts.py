"""Pure: what a pod and its events say, without the detours of their form."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from k8s import quantities
from k8s.errors import Error

#: Seconds after its start for which a program need not answer; longer is worth a word.
SLOW_ANSWER = 120


def parse_time(text: object) -> datetime | None:
    """A time as Kubernetes writes it ("2026-01-01T00:00:00Z", with or without a fraction); None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@dataclass(frozen=True)
class EventLine:
    """One event: what, in which words, when last, and whether it warns."""

    reason: str
    message: str
    at: datetime | None
    warns: bool = False

    @classmethod
    def of(cls, event: dict[str, Any]) -> "EventLine":
        """From an event of the API, or from a line {"at", "reason", "message"} that was kept of one."""
        series, metadata = event.get("series") or {}, event.get("metadata") or {}
        times = (
            event.get("at"),
            series.get("lastObservedTime"),
            event.get("lastTimestamp"),
            event.get("eventTime"),
            metadata.get("creationTimestamp"),
        )
        at = next((found for found in map(parse_time, times) if found), None)
        warns = event.get("type") == "Warning"
        return cls(str(event.get("reason") or ""), str(event.get("message") or ""), at, warns)

    @property
    def line(self) -> str:
        """As kubectl would write it."""
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True)
class Container:
    """One container: its specification, and what has become of it."""

    spec: dict[str, Any]
    status: dict[str, Any]
    is_init: bool

    @property
    def name(self) -> str:
        return str(self.spec.get("name", ""))

    @property
    def image(self) -> str:
        """Without the registry."""
        first, slash, rest = str(self.spec.get("image", "")).partition("/")
        return rest if slash and ("." in first or ":" in first or first == "localhost") else first + slash + rest

    @property
    def waiting(self) -> dict[str, Any]:
        return (self.status.get("state") or {}).get("waiting") or {}

    @property
    def running_since(self) -> datetime | None:
        return parse_time(((self.status.get("state") or {}).get("running") or {}).get("startedAt"))

    @property
    def ended(self) -> dict[str, Any]:
        """How it ended, now or the last time; empty if it never did."""
        now = (self.status.get("state") or {}).get("terminated")
        return now or (self.status.get("lastState") or {}).get("terminated") or {}

    @property
    def is_over(self) -> bool:
        """Ended, and not started again."""
        return bool((self.status.get("state") or {}).get("terminated"))

    @property
    def restarts(self) -> int:
        return int(self.status.get("restartCount") or 0)

    @property
    def has_started(self) -> bool:
        """Its image was there: it runs, or ran."""
        return bool(self.running_since or self.ended)

    @property
    def ending(self) -> str:
        """How it ended, for people who know Kubernetes: "Error, exit code 3, 2026-01-01T11:50:03Z"; empty if it never did."""
        if not self.ended:
            return ""
        code = self.ended.get("exitCode")
        signal = f", signal {self.ended['signal']}" if self.ended.get("signal") else ""
        reason = self.ended.get("reason")
        # Of a program that ran, the message may be the end of its log, and that may hold a token.
        message = self.ended.get("message") if reason in ("StartError", "ContainerCannotRun") else ""
        parts = (reason, f"exit code {code}{signal}", self.ended.get("finishedAt"), message)
        return ", ".join(str(part) for part in parts if part)

    @property
    def waiting_line(self) -> str:
        """What it waits for, in the kubelet's words; empty if it does not."""
        return ": ".join(str(self.waiting[key]) for key in ("reason", "message") if self.waiting.get(key))

    @property
    def memory_mib(self) -> int:
        """Its limit; 0 if it has none."""
        try:
            return quantities.memory_mib(self.spec["resources"]["limits"]["memory"])
        except (KeyError, TypeError, ValueError):
            return 0


@dataclass(frozen=True)
class Facts:
    """All that is known: a pod, its events (and those of its claims) from old to new, and the present time."""

    pod: dict[str, Any]
    events: list[EventLine]
    now: datetime
    #: Whether it has ever been ready, if known from elsewhere.
    known_ready: bool | None = field(default=None)
    #: What a call to the cluster came to, when it did not take what was sent.
    error: Error | None = None
    #: A snapshot of the machines, as `k8s.capacity.machines` makes it; None: not known.
    machines: list[dict[str, Any]] | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return self.pod.get("spec") or {}

    @property
    def status(self) -> dict[str, Any]:
        return self.pod.get("status") or {}

    @property
    def phase(self) -> str:
        return str(self.status.get("phase") or "")

    @cached_property
    def containers(self) -> list[Container]:
        """The init containers first, in the order of the specification."""
        found = []
        for part, statuses, is_init in (
            ("initContainers", "initContainerStatuses", True),
            ("containers", "containerStatuses", False),
        ):
            by_name = {item.get("name"): item for item in self.status.get(statuses) or []}
            found += [Container(item, by_name.get(item.get("name"), {}), is_init) for item in self.spec.get(part) or []]
        return found

    @property
    def main(self) -> Container:
        """The container that people use."""
        return next((item for item in self.containers if not item.is_init), Container({}, {}, False))

    def condition(self, kind: str) -> dict[str, Any]:
        return next((item for item in self.status.get("conditions") or [] if item.get("type") == kind), {})

    @property
    def is_ready(self) -> bool:
        return self.condition("Ready").get("status") == "True"

    @property
    def was_ready(self) -> bool:
        """Whether it has ever answered.

        The condition's time changes only with its status, and it is first set before any container starts: a time after
        the start of the last run that ended means that it had turned to true in that run.
        """
        if self.known_ready is not None:
            return self.known_ready
        if self.is_ready:
            return True
        turned = parse_time(self.condition("Ready").get("lastTransitionTime"))
        began = parse_time(self.main.ended.get("startedAt"))
        return bool(turned and began and began.year > 1970 and turned > began)

    @property
    def has_begun(self) -> bool:
        """Some container of it runs, or ran."""
        return any(item.has_started for item in self.containers)

    @property
    def is_placed(self) -> bool:
        """A machine has been found for it."""
        return self.condition("PodScheduled").get("status") == "True" or bool(self.spec.get("nodeName"))

    def said(self, *reasons: str) -> EventLine | None:
        """The newest event with one of these reasons."""
        return next((event for event in reversed(self.events) if event.reason in reasons), None)

    def line_of(self, *reasons: str) -> str:
        """The newest event with one of these reasons as one line; empty if there is none."""
        said = self.said(*reasons)
        return said.line if said else ""

    def since(self, at: datetime | None) -> float:
        """Seconds from then to now; 0 if there is no then."""
        return (self.now - at).total_seconds() if at else 0.0

    @property
    def request(self) -> dict[str, str]:
        """What its main container asks for: {"cpu": "500m", ...}."""
        resources = self.main.spec.get("resources") or {}
        return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def facts(
    pod: dict[str, Any] | None,
    events: list[dict[str, Any]],
    now: datetime,
    was_ready: bool | None = None,
    *,
    error: Error | None = None,
    machines: list[dict[str, Any]] | None = None,
) -> Facts:
    """Brings a pod and its events into order. `was_ready`: whether it has ever answered; None: see for yourself."""
    lines = sorted(map(EventLine.of, events), key=lambda line: line.at or datetime.min.replace(tzinfo=UTC))
    return Facts(pod or {}, lines, now, was_ready, error, machines)
