"""What a provider says of a person, read with care: it is somebody else's word. Pure functions; no data base.

Globus says `organization` and `identity_provider_display_name`, CILogon (with the scope org.cilogon.userinfo) `eppn`, `idp_name`
and `affiliation`; neither says `email_verified` for every institution. ORCID says no address at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from accounts import addresses

#: What is kept with a linked sign-in: enough to recognise it, and to tell the owners of a course who somebody is.
KEPT = (
    "sub", "iss", "name", "given_name", "family_name", "preferred_username", "nickname", "email", "email_verified",
    "eppn", "idp", "idp_name", "affiliation", "organization", "identity_provider_display_name",
)  # fmt: skip
#: Of eduPersonAffiliation, what tells the owners of a course something.
ROLES = ("faculty", "staff", "student", "employee", "alum")
#: What has no place in one line: line breaks, and signs that turn the text around them.
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def of(extra_data: object) -> dict[str, Any]:
    """The claims themselves, of what allauth keeps: from the provider's userinfo, else from its ID token."""
    if not isinstance(extra_data, Mapping):
        return {}
    for part in ("userinfo", "id_token"):
        if isinstance(extra_data.get(part), Mapping) and extra_data[part]:
            return dict(extra_data[part])
    return dict(extra_data)


def kept(told: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of the claims: those of KEPT, texts as lines, and nothing that is no plain value."""
    values = {key: line(told[key], 300) if isinstance(told[key], str) else told[key] for key in KEPT if key in told}
    return {key: value for key, value in values.items() if isinstance(value, str | bool | int)}


def email(told: Mapping[str, Any]) -> str:
    """The address in the form in which the site keeps it; nothing where there is none, or none that the site takes."""
    value = told.get("email")
    try:
        return addresses.normalised(value) if isinstance(value, str) else ""
    except addresses.BadAddress:
        return ""


def is_plain(said: object) -> bool:
    """Whether the provider speaks of the very mailbox that the site keeps. Its word for `an\u200bn@` is none for `ann@`."""
    return isinstance(said, str) and addresses.is_as_said(said)


def line(value: object, most: int) -> str:
    """The value as one line of text; nothing when it is no text."""
    return " ".join(UNFIT.sub(" ", value).split())[:most] if isinstance(value, str) else ""


def name(claims: Mapping[str, Any]) -> str:
    """As the person is called; empty where the provider does not say."""
    parts = " ".join(line(claims.get(key), 75) for key in ("given_name", "family_name")).strip()
    return line(claims.get("name"), 150) or parts


def affiliation(claims: Mapping[str, Any]) -> str:
    """The institution, by the name that the provider gives it, with the person's part in it where that is said."""
    keys = ("idp_name", "identity_provider_display_name", "organization")
    institution = next((line(claims[key], 160) for key in keys if line(claims.get(key), 160)), "")
    scoped = line(claims.get("affiliation"), 300).lower()
    said = {part.partition("@")[0].strip() for part in scoped.split(";")}
    roles = ", ".join(role for role in ROLES if role in said)
    return f"{institution} ({roles})"[:200] if institution and roles else institution


def is_said(value: object) -> bool:
    """Whether a claim says yes: true, or the text "true" of some providers. Any other text is a no."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def is_verified(email: str, said: object, *, trusted_domains: list[str], trusts_unstated: bool) -> bool:
    """Whether the address counts as proved by the provider's word.

    `said` is its claim `email_verified`, None when there is none. Only for the domains that the provider is trusted for, written
    out one by one, or "*"; and without the claim only where the settings say that its silence is a yes.
    """
    domain = addresses.domain_of(email)
    if "*" not in trusted_domains and domain not in trusted_domains:
        return False
    return trusts_unstated if said is None else is_said(said)
