"""Addresses that were kept before there was one form for them: `accounts.addresses`.

Each row whose address has another normal form gets that form, unless another row has it already: then both stay as they are, for
people to decide. Where signs were taken out of an address that counted as confirmed, it is confirmed no longer, for what was
confirmed was another text: its person asks for a code once more. Rows that are no address at all stay, and can still sign in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from accounts.addresses import BadAddress, is_as_said, normalised


def mend(apps: Any, schema_editor: Any) -> None:
    person, entry, mail = (apps.get_model("accounts", name) for name in ("User", "RosterEntry", "Mail"))
    address = apps.get_model("account", "EmailAddress")
    for key, old, new in _other(person.objects.all(), "email"):
        if not person.objects.filter(email=new).exists() and not address.objects.filter(email=new).exists():
            person.objects.filter(pk=key).update(email=new)
            mail.objects.filter(user=key, recipient=old).update(recipient=new)
    for key, old, new in _other(address.objects.all(), "email"):
        row = address.objects.get(pk=key)
        others = person.objects.exclude(pk=row.user_id).filter(email=new)
        if not others.exists() and not address.objects.filter(email=new).exists():
            address.objects.filter(pk=key).update(email=new, verified=row.verified and is_as_said(old))
    for key, _, new in _other(entry.objects.all(), "email"):
        instance = entry.objects.get(pk=key).instance_id
        if not entry.objects.filter(instance=instance, email=new).exists():
            entry.objects.filter(pk=key).update(email=new)


def _other(rows: Any, name: str) -> Iterator[tuple[Any, str, str]]:
    """Key, address and normal form of the rows in which these differ."""
    for key, old in list(rows.order_by("pk").values_list("pk", name)):
        try:
            new = normalised(old)
        except BadAddress:
            continue
        if new != old:
            yield key, old, new


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_mail_by_hand"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]

    operations = [migrations.RunPython(mend, migrations.RunPython.noop)]
