"""What mails say: the site's own words or an instance's, with placeholders filled in, as text and as HTML.

Words are plain text: a subject, and paragraphs with a blank line between them. A placeholder such as {name} is replaced by its
value, once: what stands in a value is never read again. There is no template language in them, so that owners can write them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.template.loader import get_template, render_to_string
from django.urls import reverse
from django.utils.html import conditional_escape, escape, format_html, urlize
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString, mark_safe

from accounts.models import Mail, MailKind, MailTemplate, Membership, Role
from accounts.rules.mailing import NotNeeded
from accounts.services import contacts, digest
from labs.errors import Refusal

Facts = dict[str, str]
PLACEHOLDER = re.compile(r"\{([^{}\n]*)\}")
#: Characters that turn the direction of a line, and could make an address look like another.
TURNING = set("\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Values of several lines; all others are one line, whatever a person has put into a name.
LONG = {"note", "people", "text", "labs", "what"}
#: Longest line that a value may be, in characters.
LONGEST = 200
#: Requests that a mail names; of more it tells the number.
NAMED = 20
#: What an address on the web is made of.
ADDRESS = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Kind:
    """One kind of mail: what its words may name, and the button under them."""

    #: Placeholder → what it stands for, for who writes the words.
    offers: Mapping[str, str]
    button: str = "Open {instance}"
    needs: tuple[str, ...] = ()


ANY = {"name": "the person's name", "instance": "the title of the instance", "site": "the name of this site"}
PLACE = {**ANY, "link": "a link to the page of the instance, on a separate line"}
CONTACT = {"contact": "whom to contact with questions, with the address"}
DECISION = {**PLACE, **CONTACT, "note": "the note that was given with the decision"}
LAB = {
    **ANY,
    "lab": "the name of the lab",
    "link": "a link to the page of the lab; a button if it is on a separate line",
}
LABS_PAGE = "Open {lab}"
KINDS: dict[MailKind, Kind] = {
    MailKind.REQUESTS_WAITING: Kind(
        {**ANY, "waiting": "how many are waiting", "people": "who they are", "link": "a link to the requests in the console"},
        button="See the requests", needs=("link",),
    ),
    MailKind.ACCESS_APPROVED: Kind(DECISION),
    MailKind.ACCESS_DENIED: Kind(DECISION),
    MailKind.ACCESS_SUSPENDED: Kind(DECISION),
    MailKind.ACCESS_REINSTATED: Kind(DECISION),
    MailKind.ACCESS_REMOVED: Kind(DECISION),
    MailKind.ROLE_CHANGED: Kind({**DECISION, "role": "the new role"}),
    MailKind.LABS_STOPPED: Kind(
        {**PLACE, **CONTACT, "labs": "which labs", "why": "who or what stopped them, as a sentence", "note": "the reason"}
    ),
    MailKind.INVITATION: Kind(
        {**ANY, "link": "the invitation link, on a separate line", "inviter": "who sends it", "until": "the last day it is valid"},
        button="Accept the invitation", needs=("link",),
    ),
    MailKind.LAB_STARTED: Kind({**LAB, "waited": "how long it waited", "until": "when it ends"}, button=LABS_PAGE),
    MailKind.LAB_ENDING: Kind(
        {**LAB, "left": "how much time is left", "until": "when it ends", "more": "how much it can be extended"}, button=LABS_PAGE
    ),
    MailKind.LAB_LOST: Kind({**LAB, "why": "why its files were lost"}, button=LABS_PAGE),
    MailKind.LAB_FAILED: Kind({**LAB, "what": "what happened", "next": "what to do"}, button=LABS_PAGE),
    MailKind.LABS_LOST: Kind(
        {**ANY, "count": "how many labs", "labs": "which labs, and why", "link": "a link to the list of these labs in the console"},
        button="See these labs",
    ),
    MailKind.LETTER: Kind({**ANY, "subject": "its subject", "text": "its text", "sender": "who sends it"}),
}  # fmt: skip

#: Whose function knows what is known only when a mail is sent, such as a signed link: `function(mail)` gives placeholders, or
#: raises NotNeeded. A link that it gives is an address of this site, and is kept nowhere.
HOOKS: dict[MailKind, str] = {
    MailKind.INVITATION: "accounts.services.invitations.facts",
    MailKind.LAB_STARTED: "labs.services.telling.started_facts",
    MailKind.LAB_ENDING: "labs.services.telling.ending_facts",
    MailKind.LAB_LOST: "labs.services.telling.facts",
    MailKind.LAB_FAILED: "labs.services.telling.facts",
    MailKind.LABS_LOST: "labs.services.telling.lost_facts",
}


@dataclass(frozen=True)
class Words:
    subject: str
    body: str


@dataclass(frozen=True)
class Block:
    """One paragraph, as text and as HTML."""

    text: str
    html: SafeString


@dataclass(frozen=True)
class Rendered:
    subject: str
    text: str
    html: str
    reply_to: str = ""
    sender: str = ""
    facts: Facts = field(default_factory=dict)


def compose(mail: Mail) -> Rendered:
    """What the mail says now. Raises NotNeeded."""
    kind = MailKind(mail.kind)
    return render(kind, _own(kind, mail) or built_in(kind), facts_of(mail))


def _own(kind: MailKind, mail: Mail) -> Words | None:
    """The instance's words, if they are still allowed: some were written before there was today's check."""
    own = MailTemplate.objects.filter(instance_id=mail.instance_id, kind=kind).first() if mail.instance_id else None
    words = Words(own.subject, own.body) if own else None
    return words if words and not _mistakes(kind, words) else None


def built_in(kind: MailKind) -> Words:
    """The site's own words: templates/mail/words/<kind>.txt, the subject in the first line."""
    source: str = get_template(f"mail/words/{kind}.txt").template.source  # type: ignore[attr-defined]
    subject, _, body = source.partition("\n")
    return Words(subject.strip(), body.strip())


def check(kind: MailKind, words: Words) -> None:
    """Raises Refusal, by field, for words that name something unknown, leave out what the mail is for, or join its link to a text."""
    if errors := _mistakes(kind, words):
        raise Refusal(" ".join(errors.values()), code="wording", errors=errors)


def _mistakes(kind: MailKind, words: Words) -> dict[str, str]:
    offers, errors = KINDS[kind].offers, {}
    offered = ", ".join(f"{{{name}}}" for name in offers)
    for where, text in (("subject", words.subject), ("body", words.body)):
        for name in PLACEHOLDER.findall(text):
            if name not in offers:
                errors[where] = f"This e-mail has no placeholder {{{name}}}. It has {offered}."
    for name in KINDS[kind].needs:
        if name not in PLACEHOLDER.findall(words.body):
            errors.setdefault("body", f"This e-mail needs {{{name}}}. Put it on a separate line.")
    # A link may let somebody in. Joined to a text, it could become a part of another site's address.
    lines = [line.strip() for line in _clean_lines(words.body).split("\n")]
    if any("{link}" in line and line != "{link}" for line in lines):
        errors["body"] = "Put {link} on a separate line, with nothing before or after it."
    if "link" in PLACEHOLDER.findall(words.subject):
        errors["subject"] = "The subject cannot contain {link}. Put it on a separate line in the text."
    return errors


# What placeholders stand for -------------------------------------------------------------------------------------------


def facts_of(mail: Mail) -> Facts:
    """The value of each placeholder that the mail's kind offers, with what only the moment of sending gives. Raises NotNeeded."""
    known = plain_facts(mail)
    if hook := HOOKS.get(MailKind(mail.kind)):
        known |= import_string(hook)(mail)
    return known


def plain_facts(mail: Mail) -> Facts:
    """What the row itself tells; no signed link is made. Raises NotNeeded."""
    kind, context = MailKind(mail.kind), mail.context
    known: Facts = {name: str(context.get(name) or "") for name in KINDS[kind].offers if name != "link"}
    known |= {
        "name": (mail.user.name if mail.user else "") or known.get("name", "") or mail.recipient,
        "instance": str(mail.instance or ""),
        "site": settings.SITE_TITLE,
    }
    if "link" in KINDS[kind].offers and mail.instance:
        known["link"] = settings.SITE_URL + mail.instance.get_absolute_url()
    if kind in _ANSWERED and (reader := contacts.answers_to(mail)):
        known["reply_to"] = reader.email
        if "contact" in KINDS[kind].offers:
            known["contact"] = contacts.in_words([reader])
    return known | _MORE.get(kind, _nothing)(mail)


def _nothing(mail: Mail) -> Facts:
    return {}


def _waiting(mail: Mail) -> Facts:
    """Who waits now, not when the mail was written: a request that was decided meanwhile is not named."""
    people = mail.context.get("people") or []
    if not people and mail.user and mail.instance:
        people = [_request(row) for row in digest.waiting_for(mail.user, mail.instance)]
    if not people:
        raise NotNeeded("Nobody is waiting any more.")
    lines = [_clean(str(person)) for person in people[:NAMED]]
    if len(people) > NAMED:
        lines.append(f"and {len(people) - NAMED} more")
    console = reverse("admin:accounts_membership_changelist")
    chosen = f"?status__exact=requested&instance__id__exact={mail.instance_id}"
    return {
        "waiting": "1 request is waiting" if len(people) == 1 else f"{len(people)} requests are waiting",
        "people": "\n".join(lines),
        "link": settings.SITE_URL + console + chosen,
    }


def _request(row: Membership) -> str:
    who = ", ".join(filter(None, (str(row.user), row.user.affiliation)))
    return f"{who}: {row.reason}" if row.reason else who


def _role(mail: Mail) -> Facts:
    role = str(mail.context.get("role") or "")
    return {"role": Role(role).label.lower() if role in Role.values else role}


def _letter(mail: Mail) -> Facts:
    letter = mail.letter
    if letter is None:
        raise NotNeeded("The message no longer exists.")
    sender = letter.author_name
    return {"subject": letter.subject, "text": letter.text, "sender": sender, "reply_to": letter.author_email}


#: Kinds about which people have questions: answers go to whoever caused the mail, or to an owner.
_ANSWERED = {kind for kind, its in KINDS.items() if "contact" in its.offers} | {MailKind.INVITATION}
_MORE: dict[MailKind, Callable[[Mail], Facts]] = {
    MailKind.REQUESTS_WAITING: _waiting,
    MailKind.ROLE_CHANGED: _role,
    MailKind.LETTER: _letter,
}


# Rendering -------------------------------------------------------------------------------------------------------------


def render(kind: MailKind, words: Words, facts: Facts) -> Rendered:
    """Fill the words in. Values are cleaned, and escaped in HTML; what the kind does not know stays as it is written."""
    known = {name: _clean_lines(value) if name in LONG else _clean(value) for name, value in facts.items()}
    if link := facts.get("link", ""):
        if not link.startswith(f"{settings.SITE_URL}/") or not ADDRESS.fullmatch(link):
            raise ValueError("E-mails can only link to this site.")
        known["link"] = link
    subject = _clean(_fill(words.subject, known))
    blocks = list(_blocks(words.body, known, _clean(_fill(KINDS[kind].button, known))))
    context = {
        "subject": subject,
        "blocks": blocks,
        "heading": known.get("instance", ""),
        "site_title": settings.SITE_TITLE,
        "site_url": settings.SITE_URL,
    }
    return Rendered(
        subject=subject,
        text=render_to_string("mail/layout.txt", context).strip() + "\n",
        html=render_to_string("mail/layout.html", context),
        reply_to=known.get("reply_to", ""),
        sender=known.get("sender", ""),
        facts=known,
    )


def _blocks(body: str, facts: Facts, button: str) -> Iterator[Block]:
    for paragraph in re.split(r"\n\s*\n", _clean_lines(body)):
        asked = [name for name in PLACEHOLDER.findall(paragraph) if name in facts]
        if not paragraph.strip() or (asked and not any(facts[name] for name in asked)):
            continue  # Nothing was given for it, such as no word with a decision.
        alone = asked[0] if len(asked) == 1 and paragraph.strip() == f"{{{asked[0]}}}" else ""
        if alone == "link":
            yield _button(button, facts["link"])
        elif alone == "note":
            yield _quote(facts["note"])
        elif alone == "text":
            yield from map(_prose, re.split(r"\n\s*\n", facts["text"]))
        else:
            yield Block(_fill(paragraph, facts).strip(), _paragraph(paragraph.strip(), facts))


def _fill(text: str, facts: Facts) -> str:
    return PLACEHOLDER.sub(lambda found: facts.get(found[1], found[0]), text)


def _paragraph(text: str, facts: Facts) -> SafeString:
    """Placeholders and words alternate in what `split` gives."""
    parts: list[str] = []
    for index, part in enumerate(PLACEHOLDER.split(text)):
        if index % 2 and part == "link" and "link" in facts:
            parts.append(format_html('<a href="{}">{}</a>', facts["link"], facts["link"]))
        elif index % 2:
            parts.append(escape(facts.get(part, f"{{{part}}}")))
        else:
            parts.append(escape(part))
    return format_html("<p>{}</p>", _broken(mark_safe("".join(parts))))  # noqa: S308  # each part is escaped


def _button(label: str, link: str) -> Block:
    return Block(f"{label}:\n{link}", format_html('<p><a class="button" href="{}">{}</a></p>', link, label))


def _quote(text: str) -> Block:
    quoted = "\n".join(f"> {line}".rstrip() for line in text.splitlines())
    return Block(quoted, format_html("<blockquote>{}</blockquote>", _broken(text)))


def _prose(text: str) -> Block:
    """A paragraph of a letter: addresses in it can be clicked."""
    return Block(text.strip(), format_html("<p>{}</p>", _broken(urlize(text.strip(), autoescape=True))))


def _broken(text: str) -> SafeString:
    return mark_safe(conditional_escape(text).replace("\n", "<br>\n"))  # noqa: S308  # escaped on this line


def _clean(text: str) -> str:
    """One line: no break, no control character, nothing that turns its direction."""
    return " ".join(_clean_lines(text).split())[:LONGEST]


def _clean_lines(text: str) -> str:
    kept = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(c for c in kept if c == "\n" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in TURNING))
