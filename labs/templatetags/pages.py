"""How times, sizes and limits are written on pages."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from k8s.resources import BY_KEY, RESOURCES, duration
from labs.models import Instance, State, Workload
from labs.models.instance import Phase

register = template.Library()

#: Python's format of each way to write a moment; site.js writes the same in the reader's own time zone.
MOMENTS = {"time": "%H:%M", "seconds": "%H:%M:%S", "day": "%-d %b %Y", "full": "%-d %b %Y, %H:%M"}
PILLS = {State.RUNNING: "ok", State.ENDED: "off", State.QUEUED: "off"}


@register.simple_tag
def moment(value: datetime.datetime | str | None, style: str = "full") -> SafeString | str:
    """A moment as <time>: today by its time alone in the styles "time" and "seconds". Nothing for nothing."""
    at = parse_datetime(value) if isinstance(value, str) else value
    if at is None:
        return ""
    local = timezone.localtime(at)
    is_today = local.date() == timezone.localdate()
    pattern = MOMENTS[style] if is_today or style in ("day", "full") else f"{MOMENTS['day']}, {MOMENTS[style]}"
    zone = "" if style == "day" else f" {local.tzname()}"
    return format_html(
        '<time datetime="{}" data-moment="{}">{}{}</time>', at.isoformat(), style, local.strftime(pattern), zone
    )


@register.filter
def span(value: datetime.timedelta | None) -> str:
    """A length of time in its two largest units: "3 h 41 min", "48 s". site.js counts on in the same words."""
    if value is None:
        return ""
    seconds = max(0, int(value.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    if minutes >= 10:
        return f"{minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


@register.filter
def minutes(value: int) -> str:
    """Minutes in words: "90 minutes", "4 hours"."""
    return duration(value)


@register.filter
def cores(millis: int) -> str:
    """Thousandths of a core as cores: 1500 is "1.5"."""
    return BY_KEY["cpu_millis"].shown(millis)


@register.filter
def gib(mib: int) -> str:
    """MiB as GiB: 2048 is "2"."""
    return BY_KEY["memory_mib"].shown(mib)


@register.filter
def image_label(workload: Workload) -> str:
    """The image in the words of the template that the workload was launched with."""
    choice = workload.template.choice("image", workload.image)
    return choice["label"] if choice else workload.image.rpartition("/")[2]


@register.filter
def gpu_label(workload: Workload) -> str:
    """The GPUs in words: "1 × A100 80 GB"; nothing when there are none."""
    if not workload.gpus:
        return ""
    titles = {model["name"]: model.get("title") or model["name"] for model in workload.cluster.gpu_models}
    return f"{workload.gpus} × {titles.get(workload.gpu_model, workload.gpu_model or 'GPU')}"


@register.filter
def pill(workload: Workload) -> str:
    """The colour of its state: ok, wait, bad or off."""
    if workload.is_unknown(timezone.now()):
        return "off"
    if has_failed(workload):
        return "bad"
    if workload.state == State.RUNNING and not workload.is_ready:
        return "wait"
    return PILLS.get(State(workload.state), "wait")


@register.filter
def state_word(workload: Workload) -> str:
    """Its state in a word or two."""
    if workload.is_unknown(timezone.now()):
        return "Unknown"
    if has_failed(workload):
        return "Failed" if workload.started_at else "Failed to start"
    if workload.state == State.RUNNING and not workload.is_ready:
        return "Not responding"
    return str(workload.get_state_display())


@register.filter
def over_or_not_begun(instance: Instance) -> str:
    """ "Ended" or "Not started"; nothing while it runs."""
    phase = instance.phase(timezone.localdate())
    return "" if phase == Phase.RUNNING else str(phase.label)


@register.filter
def has_failed(workload: Workload) -> bool:
    return workload.end_reason == "failed"


@register.inclusion_tag("parts/meters.html")
def meters(items: list[Any]) -> dict[str, Any]:
    """Limits as bars, those that mean something: with a limit above zero, or something used."""
    return {"meters": [item for item in items if item.limit or item.used or item.ask]}


@register.filter
def get(values: dict[str, Any], key: str) -> Any:
    """A value by a key that is no name."""
    return values.get(key, "")


@register.filter
def roster_limits(limits: dict[str, int] | None) -> str:
    """Personal limits in a line: "2 CPU, 8 GiB, 4 hours"."""
    found = limits or {}
    return ", ".join(item.brief.format(item.said(found[item.key])) for item in RESOURCES if item.key in found)


@register.filter
def roster_change(change: dict[str, Any]) -> SafeString:
    """One change of a line of a roster: what it was, and what it becomes."""

    def words(value: Any) -> str:
        if isinstance(value, dict):
            return roster_limits(value)
        return ", ".join(value) if isinstance(value, list) else str(value)

    what, before, after = change["what"], words(change["before"]), words(change["after"])
    if what == "notes":
        return format_html("notes: {}", after or "removed")
    return format_html("{}: {} → <b>{}</b>", what, before or "none", after or "none")


@register.filter
def prepared(saved: Any) -> str:
    """What a prepared lab is: "Python for data, 2 CPU, 4 GiB, 4 hours"."""
    values, choice = saved.values, saved.template.choice("image", saved.values.get("image", ""))
    said = [choice["label"]] if choice else []
    asked = [item for item in RESOURCES if item.answer_factor and values.get(item.name)]
    limits = {item.key: int(Decimal(values[item.name]) * item.answer_factor) for item in asked}
    return ", ".join([*said, roster_limits({name: value for name, value in limits.items() if value})])
