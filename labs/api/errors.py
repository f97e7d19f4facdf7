"""One shape for whatever the JSON interface refuses: that of a service's Refusal."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from k8s.resources import BY_KEY
from labs.errors import Refusal

WRONG = "The request is invalid: see errors."


def body_of(refusal: Refusal) -> dict[str, Any]:
    """message: a sentence; code: a word for programs; errors: a sentence for each field that is wrong; suggestion: another value.

    Where a limit would be passed: field, unit, limit, used and asked; else empty, and null.
    """
    return {
        "message": refusal.message,
        "code": refusal.code,
        "errors": refusal.errors,
        "suggestion": refusal.suggestion,
        "field": refusal.field,
        "unit": BY_KEY[refusal.field].row_unit if refusal.field in BY_KEY else "",
        "limit": refusal.limit,
        "used": refusal.used,
        "asked": refusal.asked,
    }


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """The same shape for what the framework refuses. None for what is no refusal but a fault of ours."""
    response = exception_handler(error, context)
    if response is None:
        return None
    told = response.data
    if isinstance(error, ValidationError):
        errors = _fields(told)
        message, code = errors.pop("", WRONG), "invalid"
    else:
        errors = {}
        message = str(told.get("detail", "")) if isinstance(told, dict) else str(told)
        code = str(error.get_codes()) if isinstance(error, APIException) else _code(response.status_code)
    response.data = body_of(Refusal(message, code=code, errors=errors))
    return response


def _code(status: int) -> str:
    return {403: "permission_denied", 404: "not_found"}.get(status, "error")


def _fields(told: Any, name: str = "") -> dict[str, str]:
    """Every mistake by the path of its field, such as `values.cpu`; those of no field under ""."""
    if isinstance(told, dict):
        found: dict[str, str] = {}
        for key, value in told.items():
            found |= _fields(value, ".".join(filter(None, (name, "" if key == "non_field_errors" else str(key)))))
        return found
    if isinstance(told, list) and any(isinstance(item, dict | list) for item in told):
        found = {}
        for place, value in enumerate(told):
            found |= _fields(value, ".".join(filter(None, (name, str(place)))))
        return found
    return {name: " ".join(map(str, told)) if isinstance(told, list) else str(told)}
