"""Names of things: of objects on the cluster, and of labs in their web address."""

import re
import secrets
import unicodedata
import uuid
from collections.abc import Callable, Collection
from itertools import count, islice

LONGEST_OBJECT_NAME = 50
LONGEST_HOST_LABEL = 40

_RESERVED = """
    abuse account accounts admin administrator api app apps auth autoconfig autodiscover broadcasthost cdn cluster
    console dashboard dns docs ftp grafana health help hostmaster hub imap ingress internal isatap jupyterhub kubernetes ldap
    localdomain localhost login logout mail media metrics mlsite monitor monitoring mta-sts mx noc ns ns1 ns2 pop pop3
    portal postmaster prometheus proxy register registry root security server signin signup site smtp sso ssladmin staff
    static status support sysadmin system usenet vpn web webmail webmaster wpad www www1 www2
"""
#: Names that pass for a part of the site, or to which mail and certificate authorities give a meaning (RFC 2142).
RESERVED = frozenset(_RESERVED.split())


def object_name(name: str, uid: uuid.UUID) -> str:
    """The name of a workload's objects: what can be read of `name`, and eight digits of its random uid.

    Always a DNS label that starts with a letter, as a Service's name must (RFC 1035), of at most 50 characters.
    """
    end = _end(uid)
    return _readable(name, LONGEST_OBJECT_NAME - len(end)) + end


def is_name_for(name: str, uid: uuid.UUID) -> bool:
    """Whether objects of the workload with this uid, whatever it is called, may have this name."""
    return name.endswith(_end(uid))


def _end(uid: uuid.UUID) -> str:
    return f"-{uid.hex[:8]}"


def check_host_label(name: str) -> str | None:
    """What is wrong with a lab's name as the first part of its address (RFC 1123), as a sentence; None: it is fine."""
    if not name:
        return "Please enter a name."
    if len(name) > LONGEST_HOST_LABEL:
        return f"A name can have at most {LONGEST_HOST_LABEL} characters; this one has {len(name)}."
    if name != name.lower() and re.fullmatch(r"[A-Za-z0-9-]+", name):
        return "Please use lower-case letters only."
    if not re.fullmatch(r"[a-z0-9-]+", name):
        return "A name can contain only the letters a to z, digits and hyphens."
    if not name[0].isalpha():
        return "A name must start with a letter."
    if name.endswith("-"):
        return "A name cannot end with a hyphen."
    if name[2:4] == "--":
        return "The third and fourth characters of a name cannot both be hyphens."
    if name in RESERVED:
        return f"The name “{name}” is reserved. Please choose another."
    return None


def suggest(name: str, taken: Callable[[str], bool] | Collection[str]) -> str:
    """A valid name near what was typed that is not taken. `taken` is asked at most a few dozen times."""
    is_taken = taken if callable(taken) else taken.__contains__
    base = _readable(name, LONGEST_HOST_LABEL)
    numbered = (f"{_cut(base, LONGEST_HOST_LABEL - 3)}-{number}" for number in islice(count(2), 30))
    for candidate in (base, *numbered):
        if check_host_label(candidate) is None and not is_taken(candidate):
            return candidate
    while True:
        candidate = f"{_cut(base, LONGEST_HOST_LABEL - 7)}-{secrets.token_hex(3)}"
        if not is_taken(candidate):
            return candidate


def _readable(name: str, longest: int) -> str:
    """Small letters, digits and single hyphens, starting with a letter: "lab" stands before a digit, and where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    # Else the labs of a class whose addresses are numbers could not be told apart.
    words = f"lab-{words}" if words[:1].isdigit() else words
    return _cut(words, longest) or "lab"


def _cut(text: str, longest: int) -> str:
    return text[:longest].strip("-")
