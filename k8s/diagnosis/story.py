"""Pure: what the cluster says while a lab starts, as people would tell it. For students; staff read the cluster's own lines."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from k8s.diagnosis.facts import SLOW_ANSWER, parse_time

#: Reasons of Events (k8s.io/kubernetes/pkg/kubelet/events, the scheduler's and the node controllers') in plain words.
_TOLD = {
    "Scheduled": "A machine was found",
    "FailedScheduling": "No machine could take it yet",
    "NotTriggerScaleUp": "No machine could be added for it",
    "TriggeredScaleUp": "A machine is being added for it",
    "Pulling": "The software is being downloaded",
    "Started": "A program was started",
    "Killing": "A program was asked to end",
    "Unhealthy": "It did not respond to a check",
    "FailedMount": "Its files could not be accessed yet",
    "FailedAttachVolume": "Its files could not be accessed yet",
    "Evicted": "The machine ran short of something, and ended it",
    "Preempted": "It had to make room for something more urgent",
    "NodeNotReady": "The machine is not responding",
    "TaintManagerEviction": "Its machine is being taken out of service",
    "FailedCreatePodSandBox": "The machine had a problem setting it up",
}
#: What "Unhealthy" means of a program that has only just begun.
_STILL_STARTING = "Starting up; no response yet"
_SIZE = re.compile(r"Image size: (\d+) bytes")
_TIME = re.compile(r" in ((?:\d+h)?(?:\d+m)?(?:[\d.]+m?s))")


def fetched(message: str) -> str:
    """How large an image was and how long it took, from a kubelet's "Pulled": "4.2 GB in 3 min 20 s"; empty if not said."""
    size, time = _SIZE.search(message), _TIME.search(message)
    parts = [_size(int(size[1])) if size else "", f"in {_span(time[1])}" if time else ""]
    return " ".join(part for part in parts if part)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _span(text: str) -> str:
    """Go's way to write a duration ("3m20.5s") in words."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)(m?s))?", text)
    if found is None:
        return text
    hours, minutes = int(found[1] or 0), int(found[2] or 0)
    seconds = 0 if found[4] == "ms" else round(float(found[3] or 0))
    if hours or minutes:
        return f"{60 * hours + minutes} min {seconds} s"
    return f"{max(1, seconds)} s"


def told(line: dict[str, Any]) -> str:
    """One line {"reason", "message"} in plain words; empty for what says nothing to people who do not know Kubernetes."""
    reason, message = str(line.get("reason") or ""), str(line.get("message") or "")
    if reason == "Pulled":
        if "already present" in message:
            return "The software was already there"
        how = fetched(message)
        return f"The software was downloaded ({how})" if how else "The software was downloaded"
    if reason in ("Failed", "BackOff"):
        of_image = "image" in message.lower() or "ImagePull" in message
        if reason == "BackOff":
            return "The download will be tried again in a while" if of_image else "The site will try again in a while"
        return "The software could not be downloaded" if of_image else "A program could not be started"
    return _TOLD.get(reason, "")


def story(
    lines: list[dict[str, Any]], answered_at: datetime | None = None, *, is_over: bool = False
) -> list[dict[str, Any]]:
    """Lines {"at", "type", "reason", "message"} as {"at", "warns", "text"}; of a text that repeats itself, the last.

    `answered_at`: of the first answer, if there was one. The kubelet warns of every question that is not answered, and a
    program that starts answers none for a while: that is no cause for alarm before SLOW_ANSWER is over. `is_over`: nothing is
    tried again any more.
    """
    made: list[dict[str, Any]] = []
    for line, warns in judged(lines, answered_at):
        text = told(line)
        if not text or (is_over and line.get("reason") == "BackOff"):
            continue
        if line.get("reason") == "Unhealthy" and not warns:
            text = _STILL_STARTING
        if made and made[-1]["text"] == text:
            made.pop()
        made.append({"at": line.get("at"), "warns": warns, "text": text})
    return made


def judged(lines: list[dict[str, Any]], answered_at: datetime | None = None) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each line, and whether it is a cause for alarm: not every warning of a cluster is one (`story`)."""
    started: datetime | None = None
    for line in lines:
        at = parse_time(line.get("at"))
        if line.get("reason") == "Started":
            started = at
        still_starts = line.get("reason") == "Unhealthy" and _is_still_starting(at, started, answered_at)
        yield line, line.get("type") == "Warning" and not still_starts


def _is_still_starting(at: datetime | None, started: datetime | None, answered_at: datetime | None) -> bool:
    """Whether no answer at `at` is what one expects of a program that was started at `started`."""
    if at is None or started is None or (at - started).total_seconds() > SLOW_ANSWER:
        return False
    return answered_at is None or not started <= answered_at < at
