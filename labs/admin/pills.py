"""A state in one coloured word, and a moment in one line."""

from __future__ import annotations

import datetime

from django.utils import timezone
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


def when(at: datetime.datetime | None) -> SafeString:
    """A moment, in the site's time zone; nothing for none."""
    shown = f"{timezone.localtime(at):%-d %b %Y, %H:%M}" if at else ""
    return format_html('<span class="c-when">{}</span>', shown)


def state_pill(workload: Workload) -> SafeString:
    if workload.is_unknown(timezone.now()):
        return pill("Unknown", "off")
    if workload.end_reason == EndReason.FAILED:
        return pill("Failed", "bad")
    if workload.state == State.RUNNING and not workload.is_ready:
        return pill("Not responding", "wait")
    return pill(workload.get_state_display(), TONES[State(workload.state)])
