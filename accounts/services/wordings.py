"""An instance's own words for its mails: written, changed and taken away by its owners."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction

from accounts.models import Mail, MailKind, MailTemplate, User
from accounts.rules import authority
from accounts.services import contacts, wording
from accounts.services.wording import Rendered, Words
from labs.errors import Refusal
from labs.models import Instance, Verb
from labs.rules.history import record


@transaction.atomic
def save(template: MailTemplate, *, actor: User, now: datetime.datetime) -> None:
    """Write the words down. Raises Refusal for anybody but an owner, and for words that do not do."""
    instance = _allowed(template.instance_id, actor)
    template.subject = " ".join(template.subject.split())
    template.body = template.body.replace("\r\n", "\n").strip()
    wording.check(MailKind(template.kind), Words(template.subject, template.body))
    before = MailTemplate.objects.filter(pk=template.pk).first() if template.pk else None
    template.updated_at = now
    template.save()
    _record(template, instance, actor, now, _shown(before), _shown(template))


@transaction.atomic
def remove(template: MailTemplate, *, actor: User, now: datetime.datetime) -> None:
    """Go back to the site's own words. Raises Refusal."""
    instance = _allowed(template.instance_id, actor)
    _record(template, instance, actor, now, _shown(template), {})
    template.delete()


def preview(kind: MailKind, words: Words, instance: Instance, reader: User) -> Rendered:
    """The mail with these words, as if it went to the reader. Its link leads to the instance and lets nobody in. Raises Refusal."""
    wording.check(kind, words)
    example: dict[str, Any] = {
        "note": "Welcome! The first exercise is due on Monday.",
        "people": ["Mina Member, Example University: I take the course."],
        "role": "staff",
        "inviter": str(reader),
        "until": "the end of the month",
        "labs": "exercise-1\nexercise-2",
        "why": f"{reader} stopped labs in {instance}.",
    }
    facts = wording.plain_facts(
        Mail(kind=kind, recipient=reader.email, user=reader, instance=instance, context=example)
    )
    if "contact" in wording.KINDS[kind].offers:
        facts["contact"] = contacts.in_words([reader])
    return wording.render(kind, words, facts)


def _allowed(instance_id: int, actor: User) -> Instance:
    instance = Instance.objects.get(pk=instance_id)
    if not authority.can_change_wordings(actor, instance):
        raise Refusal("Only owners can change the e-mail texts.", code="forbidden")
    return instance


def _shown(template: MailTemplate | None) -> dict[str, str]:
    return {"subject": template.subject, "text": template.body} if template else {}


def _record(
    template: MailTemplate,
    instance: Instance,
    actor: User,
    now: datetime.datetime,
    before: dict[str, str],
    after: dict[str, str],
) -> None:
    subject = f"text of the e-mail “{template.get_kind_display()}”"
    record(Verb.INSTANCE_CHANGED, subject, actor=actor, now=now, instance=instance, before=before, after=after)
