"""Secrets that the site keeps to use them."""

from __future__ import annotations

from typing import Any

import pytest

from labs.services import vault


def test_what_was_sealed_opens_again_and_cannot_be_read() -> None:
    sealed = vault.seal("pass wörd")
    assert vault.open(sealed) == "pass wörd"
    assert "pass" not in sealed
    assert vault.seal("pass wörd") != sealed


def test_a_former_key_opens_and_the_current_one_seals(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    sealed = vault.seal("password")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    fresh = vault.reseal(sealed)
    settings.SECRET_KEY_FALLBACKS = []
    assert vault.open(fresh) == "password"
    with pytest.raises(vault.CannotOpen, match="Enter it again") as caught:
        vault.open(sealed)
    assert sealed not in str(caught.value)


@pytest.mark.parametrize("text", ["", "password", "gAAAAA", "\x00", "päss"])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(vault.CannotOpen):
        vault.open(text)


def test_a_changed_letter_is_noticed() -> None:
    sealed = vault.seal("password")
    with pytest.raises(vault.CannotOpen):
        vault.open(sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:])
