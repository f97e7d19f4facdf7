"""Every address of the site, as its resolver knows them, and how to fill one in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import RegexPattern

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Address:
    #: Name with its namespaces, or the route where it has none.
    name: str
    route: str
    is_named: bool
    parameters: tuple[str, ...]

    def path(self, values: dict[str, Any]) -> str:
        if self.is_named:
            return reverse(self.name, kwargs={key: values[key] for key in self.parameters})
        return "/" + PARAMETER.sub(lambda found: str(values[found[1]]), self.route)


def addresses() -> dict[str, Address]:
    """By name. A name that stands for two routes with different parameters would hide one of them, and is refused."""
    found: dict[str, Address] = {}
    for address in _walk(get_resolver().url_patterns, "", (), ()):
        if address.name in found and found[address.name] != address:
            raise AssertionError(f"{address.name} is {found[address.name].route} and {address.route}")
        found[address.name] = address
    return found


def _walk(patterns: Any, before: str, spaces: tuple[str, ...], parameters_before: tuple[str, ...]) -> Iterator[Address]:
    for item in patterns:
        route = before + _readable(item)
        named = (*parameters_before, *item.pattern.regex.groupindex)
        if isinstance(item, URLResolver):
            yield from _walk(item.url_patterns, route, (*spaces, item.namespace) if item.namespace else spaces, named)
        elif isinstance(item, URLPattern):
            name = ":".join((*spaces, item.name)) if item.name else route
            parameters = named if item.name else tuple(PARAMETER.findall(route))
            yield Address(name, route, bool(item.name), parameters)


def _readable(item: URLPattern | URLResolver) -> str:
    """The route; a regular expression without its signs, as far as a nameless one needs."""
    text = str(item.pattern)
    return re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", text).strip("^$") if isinstance(item.pattern, RegexPattern) else text


def expanded(names: str) -> list[str]:
    """Names apart by white space; `a_{b,c}` stands for `a_b` and `a_c`."""
    return [name for word in names.split() for name in _expand(word)]


def _expand(word: str) -> list[str]:
    parts = [part[1:-1].split(",") if part.startswith("{") else [part] for part in re.split(r"(\{[^}]*\})", word)]
    return ["".join(chosen) for chosen in product(*parts)]
