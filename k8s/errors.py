"""What can go wrong with a call to the cluster, sorted by what it means for the caller."""

import json
import re
from collections.abc import Callable
from typing import Any

#: 403 and 409 that pass by themselves: the namespace is new, or two requests changed its quota at the same moment.
_PASSING = re.compile(r"status unknown for quota|error looking up service account|try again later", re.I)
_QUOTA = re.compile(r"exceeded quota|failed quota", re.I)
#: Server-side apply answers 500 to a body that does not fit its schema.
_MALFORMED = re.compile(r"failed to create typed patch object|failed to convert new object|cannot unmarshal", re.I)
#: It is the webhook that is out of order, whatever is said of its answer.
_WEBHOOK_AWAY = re.compile(r"failed calling webhook")
_POLICY = re.compile(r"admission webhook|ValidatingAdmissionPolicy")
_RBAC = re.compile(r'User "[^"]*" cannot |is not allowed to ', re.I)
#: The namespace is on its way out; it can be made again when it is gone.
_TERMINATING = re.compile(r"because it is being terminated|namespace \S+ is being terminated", re.I)
#: Bytes of an answer in which its first line is looked for.
_LONGEST_LINE = 65536
_POLICY_NAME = re.compile(r"ValidatingAdmissionPolicy '[a-z0-9.-]+'")


class Error(Exception):
    """A call to the cluster that did not succeed. `code` is the HTTP status, 0 without an answer."""

    def __init__(self, message: str = "", *, code: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason


class NotFound(Error):
    """The object is not there (or, for apply, its namespace is not)."""


class Conflict(Error):
    """Someone else made or changed the object in the meantime."""


class Gone(Error):
    """The version that a watch starts from is too old: list again."""


class Rejected(Error):
    """The cluster understood and said no; the same call will be refused again.

    `kind`: "quota" (a limit of the namespace), "policy" (Pod Security, limit range, webhook), "validation" (malformed),
    "forbidden" (the site has no right to this).
    """

    def __init__(self, message: str = "", *, code: int = 403, reason: str = "", kind: str = "forbidden") -> None:
        super().__init__(message, code=code, reason=reason)
        self.kind = kind


class Unavailable(Error):
    """No usable answer now; try again. `passing` is False when only a change of the credentials can help."""

    def __init__(
        self, message: str = "", *, code: int = 0, reason: str = "", passing: bool = True, retry_after: float = 0.0
    ) -> None:
        super().__init__(message, code=code, reason=reason)
        self.passing = passing
        self.retry_after = retry_after


class NamespaceTerminating(Unavailable):
    """Nothing can be made in the namespace, which is being removed. It passes, but not within the tries of one call."""


def from_status(
    code: int, content: bytes, retry_after: str, *, about: str = "", conceal: Callable[[str], str] = str
) -> Error:
    """The error for an HTTP status and the Status object that came with it.

    `retry_after`: the header, in seconds. `about`: the kind that was sent; a complaint about a Secret's content is
    reduced to the names of the fields, since the server quotes values. `conceal`: takes credentials out of a text.
    """
    status = _parse(content)
    message = str(status.get("message") or _plain(content, conceal) or f"HTTP {code}")
    error = _sorted(code, status, message, retry_after, about)
    # What it means is read from the server's own words.
    error.message, error.reason = conceal(error.message), conceal(error.reason)
    error.args = (error.message,)
    return error


def _sorted(code: int, status: dict[str, Any], message: str, retry_after: str, about: str) -> Error:
    reason = str(status.get("reason") or "")
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    malformed = code in (400, 422) or (
        code == 500 and _MALFORMED.search(message) is not None and not _WEBHOOK_AWAY.search(message)
    )
    if about == "Secret" and (malformed or code >= 500):
        causes = [cause for cause in details.get("causes") or [] if isinstance(cause, dict)]
        fields = sorted({str(cause.get("field")) for cause in causes if cause.get("field")})
        fields += _POLICY_NAME.findall(message)
        message = f"The cluster did not take the Secret{': ' + ', '.join(fields) if fields else ''} (HTTP {code})."
    if malformed:
        kind = "policy" if _POLICY.search(message) else "validation"
        return Rejected(message, code=code, reason=reason, kind=kind)
    if code == 401 or code == 429 or code >= 500:
        seconds = float(retry_after) if re.fullmatch(r"\d{1,4}", retry_after) else 0.0
        return Unavailable(message, code=code, reason=reason, passing=code != 401, retry_after=seconds)
    if code == 404:
        return NotFound(message, code=code, reason=reason)
    if code == 410:
        return Gone(message, code=code, reason=reason)
    if code in (403, 409) and _TERMINATING.search(message):
        return NamespaceTerminating(message, code=code, reason=reason, passing=False)
    if code in (403, 409) and (_PASSING.search(message) or (code == 409 and details.get("kind") == "resourcequotas")):
        return Unavailable(message, code=code, reason=reason)
    if code == 409:
        return Conflict(message, code=code, reason=reason)
    return Rejected(message, code=code, reason=reason, kind=_kind_of_refusal(code, message))


def _kind_of_refusal(code: int, message: str) -> str:
    if _QUOTA.search(message):
        return "quota"
    if _POLICY.search(message):
        return "policy"
    if code == 403:
        # Authorisation names the user and the verb; what is left of 403 comes from an admission plug-in.
        return "forbidden" if _RBAC.search(message) else "policy"
    return "validation"


def _parse(content: bytes) -> dict[str, Any]:
    try:
        status = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return status if isinstance(status, dict) else {}


def _plain(content: bytes, conceal: Callable[[str], str]) -> str:
    """The first line of an answer that is no Status, such as "404 page not found"; nothing of a page in HTML."""
    line = content[:_LONGEST_LINE].decode(errors="replace").strip().partition("\n")[0]
    # Before it is cut: a part of a credential would not be recognised.
    return "" if line[:1] in ("{", "<") else conceal(line)[:200]
