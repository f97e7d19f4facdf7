"""The answers of a launch form, checked against the template's declarations. The only place where ranges are checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from k8s.resources import ASKED, BY_KEY
from labs.errors import OutOfRange, Refusal
from labs.models import ServiceTemplate

from . import repositories
from .refusals import out_of_range

#: Fields of the workload itself; all other parameters of a template are kept in `Workload.parameters`.
PASSWORD_LENGTH = (8, 128)


@dataclass
class Answers:
    """Checked. `amounts`: what is asked for of each resource that a launch asks for, as in the columns of Workload."""

    name: str = ""
    image: str = ""
    amounts: dict[str, int] = field(default_factory=dict)
    gpu_model: str = ""
    password: str = field(default="", repr=False)
    others: dict[str, Any] = field(default_factory=dict)


NUMBERS = ("number", "integer", "minutes")

#: How many GPUs of each model can be asked for, by its name.
Gpus = Mapping[str, int]


def clean(template: ServiceTemplate, gpus: Gpus, values: Mapping[str, Any]) -> Answers:
    """Check every answer. `gpus`: as `labs.services.placement.gpu_counts`. Raises Refusal with one sentence a field."""
    errors: dict[str, str] = {}
    ranges: dict[str, OutOfRange] = {}
    cleaned: dict[str, Any] = {"name": name_of(values)}
    declared = {item["name"]: item for item in template.parameters}
    for unknown in set(values) - set(declared) - {"name"}:
        # The name comes back in the answer, so it must be one that can be written.
        errors[unknown[:40].encode("ascii", "backslashreplace").decode()] = "Unknown field."
    for name, item in declared.items():
        try:
            cleaned[name] = _clean_one(item, values.get(name), gpus)
        except ValueError as error:
            errors[name] = str(error)
            if isinstance(error, OutOfRange):
                ranges[name] = error
    if not errors:
        errors = _check_gpus(cleaned, gpus)
    if errors:
        raise Refusal("Please correct the marked fields.", code="invalid", errors=errors, ranges=ranges)
    return _answers(cleaned)


def name_of(values: Mapping[str, Any]) -> str:
    """The name among the answers, as it was typed."""
    return str(values.get("name") or "").strip()


def _answers(cleaned: dict[str, Any]) -> Answers:
    asked = [BY_KEY[key] for key in ASKED]
    known = {
        "name": cleaned.pop("name"),
        "image": cleaned.pop("image", ""),
        "amounts": {resource.key: int(cleaned.pop(resource.name, 0) * resource.answer_factor) for resource in asked},
        "gpu_model": cleaned.pop("gpu_model", ""),
        "password": cleaned.pop("password", ""),
    }
    return Answers(**known, others=cleaned)


def _check_gpus(cleaned: dict[str, Any], there: Gpus) -> dict[str, str]:
    gpus, model = cleaned.get("gpus", 0), cleaned.get("gpu_model", "")
    if gpus and not there:
        return {"gpus": "There are no GPUs here."}
    if gpus and not model:
        return {"gpu_model": "Choose a GPU model."}
    if model and not gpus:
        cleaned["gpu_model"] = ""
    if gpus:
        count = there.get(model, 0)
        if gpus > count:
            return {"gpus": f"There are {count} of this model; you asked for {gpus}."}
    return {}


def _clean_one(item: dict[str, Any], value: Any, gpus: Gpus) -> Any:
    """One answer. Raises ValueError with a sentence for the person."""
    text = "" if value is None else str(value)
    if item["type"] != "password":
        text = text.strip()
    if value is None:
        text = str(item.get("default", ""))
    if item["type"] in NUMBERS:
        text = with_point(text)
    if not text and item.get("required"):
        raise ValueError(f"{item['label']} is required.")
    return CLEANERS[item["type"]](item, text, gpus)


def with_point(text: str) -> str:
    """A number with a decimal comma as one with a point. "1,500" stays as it is: it may be meant as one thousand five hundred."""
    return text.replace(",", ".") if re.fullmatch(r"\d{1,9},\d{1,2}", text) else text


def _number(item: dict[str, Any], text: str, gpus: Gpus) -> Decimal:
    try:
        number = Decimal(text or "0")
    except InvalidOperation:
        raise ValueError(f"{text[:20]!r} is not a number. Write it like 2 or 1.5.") from None
    if not number.is_finite() or not re.fullmatch(r"[+-]?\d{1,12}(\.\d{1,6})?", text or "0"):
        raise ValueError("Please enter a plain number.")
    unit, text = item.get("unit", ""), text or "0"
    low, high, step = item.get("min"), item.get("max"), item.get("step")
    if low is not None and number < Decimal(str(low)):
        raise out_of_range("least", low, text, unit)
    if high is not None and number > Decimal(str(high)):
        raise out_of_range("most", high, text, unit)
    if step and (number - Decimal(str(low or 0))) % Decimal(str(step)):
        raise out_of_range("step", step, text, unit)
    return number


def _integer(item: dict[str, Any], text: str, gpus: Gpus) -> int:
    number = _number(item, text, gpus)
    if number != int(number):
        raise ValueError("Please enter a whole number.")
    return int(number)


def _choice(item: dict[str, Any], text: str, gpus: Gpus) -> str:
    listed = {choice["value"] for choice in item.get("choices", [])}
    allowed = set(gpus) if item.get("choices_from") == "cluster.gpu_models" else listed
    if text and text not in allowed:
        raise ValueError(f"{item['label']}: choose a value from the list.")
    return text


def _git_url(item: dict[str, Any], text: str, gpus: Gpus) -> str:
    return repositories.clean(text) if text else ""


def _password(item: dict[str, Any], text: str, gpus: Gpus) -> str:
    shortest, longest = PASSWORD_LENGTH
    if text and not shortest <= len(text) <= longest:
        raise ValueError(f"Use {shortest} to {longest} characters, or leave this empty.")
    return text


CLEANERS = {
    "number": _number,
    "integer": _integer,
    "minutes": _integer,
    "choice": _choice,
    "git_url": _git_url,
    "password": _password,
}
