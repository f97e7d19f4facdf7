"""A state in one coloured word."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

from labs.models import EndReason, State, Workload

TONES = {
    State.REQUESTED: "wait",
    State.QUEUED: "wait",
    State.STARTING: "wait",
    State.RUNNING: "ok",
    State.STOPPING: "wait",
    State.ENDED: "off",
}


def pill(text: str, tone: str) -> SafeString:
    """`tone`: ok, wait, bad or off."""
    return format_html('<span class="c-pill c-pill--{}">{}</span>', tone, text)


def state_pill(workload: Workload) -> SafeString:
    if workload.end_reason == EndReason.FAILED:
        return pill("Failed", "bad")
    if workload.state == State.RUNNING and not workload.is_ready:
        return pill("Not answering", "wait")
    return pill(workload.get_state_display(), TONES[State(workload.state)])
