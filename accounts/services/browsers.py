"""Browsers in which somebody has signed in before. Their tries to sign in are counted apart from everybody else's.

Else whoever knows an address could use up its tries from anywhere, and keep its owner out for as long as they go on.
"""

from __future__ import annotations

import hashlib

from django.core import signing
from django.utils.crypto import get_random_string

from accounts.addresses import searched

SALT = "accounts.known-browser"
#: Seconds for which a browser is remembered.
REMEMBERED = 180 * 24 * 3600


def mark(address: str) -> str:
    """What a browser keeps after a sign-in with this address; nobody else can make it, and it names nobody."""
    return signing.dumps([_digest(address), get_random_string(16)], salt=SALT)


def known(kept: str, address: str) -> str:
    """A name for the browser, if it has signed in with this address before; else nothing."""
    try:
        digest, name = signing.loads(kept, salt=SALT, max_age=REMEMBERED)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(name) if digest == _digest(address) else ""


def _digest(address: str) -> str:
    return hashlib.sha256(searched(address).encode()).hexdigest()
