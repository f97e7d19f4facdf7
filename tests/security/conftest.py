"""The people and instances of the console's tests, for attacks on every part of the site."""

from __future__ import annotations

from tests.console.conftest import world as world
