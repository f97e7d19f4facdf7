"""What each address of the site answers to whom. A row a group of addresses: the answer to GET, the answer to POST, the names.

An answer is a word of nine letters, one for each of ROLES: o = here it is (2xx), r = sent on to another page, s = sent to sign in,
x = refused (403), m = missing (404), n = not by this method (405), b = not understood (400).
"""

from __future__ import annotations

ROLES = ("anonymous", "signed in", "requested", "member", "staff", "owner", "other owner", "suspended", "administrator")
ROWS: list[tuple[str, str, str]] = []
