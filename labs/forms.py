"""What people type: the launch form, made from a service's declarations, and the small forms of pages.

Nothing is decided here. Answers go to the services as they were typed, in the services' units, and come back with the
services' sentences.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import User
from k8s.resources import ASKED, BY_KEY, BY_NAME, duration, number
from labs.errors import Refusal
from labs.models import Instance, Lab, Quota, ServiceTemplate
from labs.services.admission import Ask, ask_of, limits_of
from labs.services.overview import free_gpus
from labs.services.parameters import with_point
from labs.services.placement import largest_machine, places
from labs.services.refusals import range_in_words

PLAIN = re.compile(r"\d{1,9}(\.\d{1,6})?")
#: Minutes of each unit that a length of time is given in.
UNITS = {"minutes": 1, "hours": 60, "days": 1440}
MIB_IN_GIB = 1024


@dataclass
class Choice:
    value: str
    label: str
    help: str = ""


@dataclass
class Field:
    """One question of the form. `kind` names the template that shows it."""

    name: str
    kind: str
    label: str
    help: str = ""
    value: str = ""
    unit: str = ""
    low: str = ""
    high: str = ""
    step: str = ""
    required: bool = False
    choices: list[Choice] = field(default_factory=list)
    error: str = ""

    @property
    def template(self) -> str:
        return f"labs/fields/{self.kind}.html"

    @property
    def chosen(self) -> Choice | None:
        return next((choice for choice in self.choices if choice.value == self.value), None)


class LaunchForm:
    """The questions of one service for one person. `typed`: the answers so far; without any, what is offered."""

    def __init__(
        self, template: ServiceTemplate, instance: Instance, user: User, typed: Mapping[str, str] | None = None
    ) -> None:
        self.template, self.instance, self.user = template, instance, user
        self.typed = dict(typed or {})
        self.errors: dict[str, str] = {}
        self.room = limits_of(instance, user)
        self.limits = [row for row in (self.room.whole, self.room.personal) if row]
        self.places = places(instance)
        self.clusters = [place.cluster for place in self.places]
        self.gpus = free_gpus(cluster for cluster in self.clusters if cluster.is_open)

    @property
    def units(self) -> list[str]:
        return list(UNITS)

    def fields(self) -> list[Field]:
        """In the order of the service's declarations, the name first."""
        fields = [Field("name", "name", "Name", value=self.typed.get("name", ""), required=True)]
        for item in self.template.parameters:
            if item["name"] == "gpu_model":
                continue
            made = self._gpu(item) if item["name"] == "gpus" else self._field(item)
            if made:
                fields.append(made)
        for made in fields:
            made.error = self.errors.get(made.name, "")
        return fields

    def values(self) -> dict[str, str]:
        """The answers as `labs.services.launch` takes them: memory in MiB, lifetime in minutes."""
        values = {"name": self.typed.get("name", "")}
        for item in self.template.parameters:
            # A question that was not asked has its default; one that was left empty has none.
            asked = "gpu" if item["name"] in ("gpus", "gpu_model") else item["name"]
            if asked in self.typed:
                values[item["name"]] = self._value(item)
        return values

    def ask(self) -> Ask:
        """What the answers so far would take, as far as they can be read."""
        values = self.values()
        asked = (BY_KEY[key] for key in ASKED)
        amounts = {item.key: (_decimal(values.get(item.name, "")) or 0) * item.answer_factor for item in asked}
        return ask_of({key: int(amount) for key, amount in amounts.items()})

    def refuse(self, refusal: Refusal) -> None:
        """Keep the service's sentences for the fields; nothing typed is lost but the password."""
        self.errors = refusal.errors | {name: range_in_words(found) for name, found in refusal.ranges.items()}
        for name in ("gpus", "gpu_model"):
            if name in self.errors:
                self.errors["gpu"] = self.errors.pop(name)
        if self.typed.pop("password", ""):
            self.errors.setdefault("password", "Please type the password again, or leave it empty.")

    def _field(self, item: dict[str, Any]) -> Field:
        name, kind, value = item["name"], item["type"], self.typed.get(item["name"], "")
        made = Field(
            name, "text", item["label"], item.get("help", ""), value, required=bool(item.get("required")),
            unit=item.get("unit", ""),
        )  # fmt: skip
        if kind == "choice":
            made.kind = "choice"
            made.choices = [
                Choice(choice["value"], choice["label"], choice.get("help", "")) for choice in item.get("choices", [])
            ]
        elif kind in ("number", "integer"):
            made.kind = "amount"
            made.low, made.high, made.step = (number(value) for value in self._bounds(item))
            made.unit = "GiB" if item.get("unit") == "MiB" else made.unit
        elif kind == "minutes":
            made.kind = "lifetime"
            longest = self.longest(item)
            made.high = duration(longest) if longest else ""
            made.unit = self.typed.get(f"{name}_unit", "hours")
            made.help = " ".join(filter(None, (made.help, self._cut_short(longest))))
        elif kind == "password":
            made.kind, made.value = "password", ""
        return made

    def _bounds(self, item: dict[str, Any]) -> tuple[Decimal, Decimal, Decimal]:
        """Lowest, highest and step: the service's own, and no more than the person may ever have."""
        low, high, step = (
            Decimal(str(item.get(key, default))) for key, default in (("min", 0), ("max", 100), ("step", 1))
        )
        bounds, resource = [high], BY_NAME.get(item["name"])
        if resource and resource.answer_factor:
            limits = [getattr(row, resource.key) for row in self.limits]
            limits += [largest_machine(self.places, resource.key)] if resource.kubernetes else []
            bounds += [Decimal(limit) / resource.answer_factor for limit in limits if limit is not None]
        most = min(bounds)
        high = max(low, low + (most - low) // step * step)
        size = MIB_IN_GIB if item.get("unit") == "MiB" else 1
        return low / size, high / size, step / size

    def longest(self, item: dict[str, Any]) -> int | None:
        """The longest lifetime in minutes; None where there is no end to it."""
        limits = [row.lifetime_minutes for row in self.limits if row.lifetime_minutes]
        return min([value for value in [item.get("max"), *limits] if value], default=None)

    def _cut_short(self, longest: int | None) -> str:
        """That the instance may be over before the lab, where that can be."""
        ends_at = self.instance.ends_at
        if ends_at is None or (longest and timezone.now() + datetime.timedelta(minutes=longest) <= ends_at):
            return ""
        return f"{self.instance} ends on {self.instance.ends_on:%-d %B %Y} at midnight, and your lab with it."

    def _gpu(self, item: dict[str, Any]) -> Field | None:
        """Number and model as one question, with only what the person may have; none where there are no GPUs."""
        limits = [row.gpus for row in self.limits if row.gpus is not None]
        choices = [Choice("", "None")]
        for model in self.gpus:
            for count in range(1, min([item.get("max", 1), model.count, *limits]) + 1):
                free = f"{model.free} free now" if model.free else "none free now"
                choices.append(Choice(f"{model.name}:{count}", f"{count} × {model.title} ({free})"))
        if len(choices) == 1:
            return None
        return Field("gpu", "choice", "GPU", item.get("help", ""), self.typed.get("gpu", ""), choices=choices)

    def _value(self, item: dict[str, Any]) -> str:
        name = item["name"]
        text = self.typed.get(name, "").strip() if item["type"] != "password" else self.typed.get(name, "")
        if name in ("gpus", "gpu_model"):
            model, _, count = self.typed.get("gpu", "").rpartition(":")
            return model if name == "gpu_model" else count or "0"
        amount = _decimal(text)
        if amount is not None and item.get("unit") == "MiB":
            return _plain(amount * MIB_IN_GIB)
        if amount is not None and item["type"] == "minutes":
            return minutes_of(text, self.typed.get(f"{name}_unit", "minutes"))
        return text


class PreparedForm(LaunchForm):
    """The same for a class: a title in the place of the name, no password, and the limits of members, not of who prepares it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = list(Quota.objects.filter(instance=self.instance, user=None))

    def fields(self) -> list[Field]:
        asked = [made for made in super().fields() if made.kind not in ("name", "password")]
        title = Field("title", "text", "Title", "Used in the name of each lab, such as “ann-week-3”.", required=True)
        title.value, title.error = self.typed.get("title", ""), self.errors.get("title", "")
        return [title, *asked]

    def values(self) -> dict[str, str]:
        return {name: value for name, value in super().values().items() if name not in ("name", "password")}


def offered(form: LaunchForm, default_name: str) -> dict[str, str]:
    """The answers that an empty form shows: the service's defaults, no more than the person may have."""
    answers = {"name": default_name, "gpu": ""}
    for item in form.template.parameters:
        name, default = item["name"], item.get("default", "")
        if item["type"] in ("number", "integer"):
            low, high, _ = form._bounds(item)
            size = MIB_IN_GIB if item.get("unit") == "MiB" else 1
            answers[name] = number(max(low, min(high, Decimal(str(default or 0)) / size)))
        elif item["type"] == "minutes":
            answers |= _length(name, min(value for value in (int(default), form.longest(item)) if value))
        else:
            answers[name] = str(default)
    return answers


def answers_of(lab: Lab, *, more_memory: bool = False) -> dict[str, str]:
    """The answers with which this lab was launched, for another like it; never its password."""
    amounts = lab.amounts | {"memory_mib": lab.memory_mib * (2 if more_memory else 1)}
    return {
        **{str(name): str(value) for name, value in lab.parameters.items()},
        "image": lab.image,
        **{BY_KEY[key].name: BY_KEY[key].shown(amount) for key, amount in amounts.items() if key != "gpus"},
        "gpu": f"{lab.gpu_model}:{lab.gpus}" if lab.gpus else "",
        **_length("lifetime", lab.lifetime_minutes),
    }


def minutes_of(text: str, unit: str) -> str:
    """A length of time as minutes, if it can be read; otherwise as it was typed."""
    amount = _decimal(text.strip())
    return text if amount is None else _plain(amount * UNITS.get(unit, 1))


def _length(name: str, minutes: int) -> dict[str, str]:
    """As a number of the largest unit of which it is a whole number."""
    unit = next(unit for unit in reversed(UNITS) if minutes % UNITS[unit] == 0)
    return {name: str(minutes // UNITS[unit]), f"{name}_unit": unit}


def _decimal(text: str) -> Decimal | None:
    text = with_point(text)
    return Decimal(text) if PLAIN.fullmatch(text) else None


def _plain(value: Decimal) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
