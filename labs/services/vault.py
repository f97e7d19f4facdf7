"""Secrets that the site must be able to read again, such as a registry's password: encrypted in the data base, never shown.

The key is made from SECRET_KEY, so it is as well kept as that, and a copy of the data base alone gives nothing away. What
was sealed under a former key opens as long as that key stands in SECRET_KEY_FALLBACKS.
"""

from __future__ import annotations

import base64
import functools

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class CannotOpen(ValueError):
    """It was sealed under a key that this site no longer has, or is damaged. Its text quotes neither."""


def seal(text: str) -> str:
    """The text, encrypted with the current key and protected from change; another result every time."""
    return _box().encrypt(text.encode()).decode()


def open(text: str) -> str:
    """What was sealed, under the current key or a former one. Raises CannotOpen."""
    try:
        return _box().decrypt(text.encode()).decode()
    except InvalidToken:
        raise CannotOpen("It was encrypted with another SECRET_KEY. Enter it again.") from None


def reseal(text: str) -> str:
    """The same secret under the current key. Raises CannotOpen."""
    return seal(open(text))


def _box() -> MultiFernet:
    return _made((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@functools.lru_cache(maxsize=8)
def _made(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derive(key)) for key in keys])


def _derive(key: str) -> bytes:
    """A key of its own for this purpose (RFC 5869): what else is made from SECRET_KEY tells nothing of it."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mlsite.vault.1").derive(key.encode())
    return base64.urlsafe_b64encode(derived)
