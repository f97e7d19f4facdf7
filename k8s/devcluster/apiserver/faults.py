"""Faults on demand, and a count of calls: for tests of what a client does when the cluster is not well."""

import asyncio
import random
from collections import Counter
from typing import Any

from aiohttp import web

from .errors import ApiError, bad_request

Object = dict[str, Any]

_DEFAULTS: Object = {
    "error_rate": 0.0,
    "codes": [500],
    "latency_seconds": 0.0,
    "drop_watches_after_seconds": None,
    "only": None,
    "except_user_agent": None,
}


class Faults:
    """What goes wrong, and for whom."""

    def __init__(self) -> None:
        self._settings = dict(_DEFAULTS)
        #: Answered calls by (verb, kind, user agent).
        self.calls: Counter[tuple[str, str, str]] = Counter()

    def settings(self) -> Object:
        """As they are."""
        return dict(self._settings)

    def set(self, body: Any) -> None:
        """Replace all settings; what is not named is as at the start. Raises ApiError 400."""
        if not isinstance(body, dict) or set(body) - set(_DEFAULTS):
            raise bad_request(f"faults: known settings are {', '.join(_DEFAULTS)}")
        wanted = _DEFAULTS | body
        if not 0 <= float(wanted["error_rate"]) <= 1 or not all(400 <= int(code) < 600 for code in wanted["codes"]):
            raise bad_request("faults: error_rate is from 0 to 1, codes are from 400 to 599")
        self._settings = wanted

    def _concerns(self, request: web.Request) -> bool:
        exempt = self._settings["except_user_agent"]
        if exempt and request.headers.get("User-Agent", "").startswith(exempt):
            return False
        only = self._settings["only"]
        return not only or request.method in only

    async def strike(self, request: web.Request) -> None:
        """Wait, or raise an ApiError, as set."""
        if not self._concerns(request):
            return
        if self._settings["latency_seconds"]:
            await asyncio.sleep(float(self._settings["latency_seconds"]))
        if random.random() < self._settings["error_rate"]:  # noqa: S311
            code = random.choice(self._settings["codes"])  # noqa: S311
            reason = {500: "InternalError", 503: "ServiceUnavailable", 429: "TooManyRequests", 409: "Conflict"}.get(
                code, ""
            )
            raise ApiError(code, reason, "a fault that was asked for")

    def drop_after(self, request: web.Request) -> float | None:
        """Seconds after which a watch is cut, or None."""
        seconds = self._settings["drop_watches_after_seconds"]
        return float(seconds) if seconds is not None and self._concerns(request) else None

    def count(self, verb: str, kind: str, request: web.Request) -> None:
        """Note a call."""
        agent = request.headers.get("User-Agent", "").partition(" ")[0].partition("/")[0]
        self.calls[verb, kind, agent] += 1

    def counted(self) -> list[Object]:
        """The calls so far, most frequent first."""
        return [
            {"verb": verb, "kind": kind, "user_agent": agent, "count": count}
            for (verb, kind, agent), count in self.calls.most_common()
        ]
