"""Errors as the API answers them: an HTTP status and a Status object."""

from typing import Any

Object = dict[str, Any]
#: (reason, field, text): one thing wrong with an object, in the words of the API's field errors.
Cause = tuple[str, str, str]


class ApiError(Exception):
    """The answer to a request that is refused."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    def status(self) -> Object:
        """The Status object."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }
        return {key: value for key, value in body.items() if value is not None and (key != "reason" or value)}


def _about(name: str, plural: str, group: str) -> Object:
    return {"name": name, **({"group": group} if group else {}), "kind": plural}


def qualified(plural: str, group: str) -> str:
    """How the API calls a resource in messages: "pods", "ingresses.networking.k8s.io"."""
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, name: str, group: str = "") -> ApiError:
    """404 for one object."""
    text = f'{qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", text, _about(name, plural, group))


def no_such_resource() -> ApiError:
    """404 for a resource that the server does not have."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(plural: str, name: str, group: str = "") -> ApiError:
    """409 for a create."""
    text = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, _about(name, plural, group))


def conflict(plural: str, name: str, group: str = "", why: str = "") -> ApiError:
    """409 for a write that is based on an older version, or whose precondition fails."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    text = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", text, _about(name, plural, group))


def forbidden(plural: str, name: str, why: str, group: str = "", causes: list[Object] | None = None) -> ApiError:
    """403 by an admission rule."""
    details = _about(name, plural, group) | ({"causes": causes} if causes else {})
    return ApiError(403, "Forbidden", f'{qualified(plural, group)} "{name}" is forbidden: {why}', details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def expired(message: str) -> ApiError:
    """410: a version that is no longer known."""
    return ApiError(410, "Expired", message)


def invalid(kind: str, name: str, causes: list[Cause], group: str = "") -> ApiError:
    """422 with everything that is wrong."""
    texts = [f"{field}: {text}" for _, field, text in causes]
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    listed = [{"reason": reason, "message": text, "field": field} for reason, field, text in causes]
    return ApiError(
        422,
        "Invalid",
        f'{qualified(kind, group)} "{name}" is invalid: {joined}',
        _about(name, kind, group) | {"causes": listed},
    )


def required(field: str, text: str = "") -> Cause:
    """A field that is missing."""
    return "FieldValueRequired", field, f"Required value: {text}" if text else "Required value"


def wrong(field: str, value: Any, text: str) -> Cause:
    """A field with a value that cannot be."""
    shown = f'"{value}"' if isinstance(value, str) else "null" if value is None else value
    return "FieldValueInvalid", field, f"Invalid value: {shown}: {text}"


def unsupported(field: str, value: str, allowed: tuple[str, ...]) -> Cause:
    """A field whose value is none of those that there are."""
    options = ", ".join(f'"{one}"' for one in allowed)
    return "FieldValueNotSupported", field, f'Unsupported value: "{value}": supported values: {options}'


def prohibited(field: str, text: str) -> Cause:
    """A field that may not be set, or not be changed."""
    return "FieldValueForbidden", field, f"Forbidden: {text}"
