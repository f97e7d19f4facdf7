"""The mails that django-allauth sends itself (codes, passwords, changes of an account), in the same look as the site's own."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.html import format_html, linebreaks, urlize
from django.utils.safestring import SafeString, mark_safe

CODE = re.compile(r"[A-Z0-9]{2,8}(-?[A-Z0-9]{2,8}){0,2}")


class DressedMails:
    """Mixin of account adapters: what is rendered as text goes out as HTML, too."""

    def render_mail(self, *args: Any, **kwargs: Any) -> EmailMessage:
        return dress(super().render_mail(*args, **kwargs))  # type: ignore[misc]


def dress(message: EmailMessage) -> EmailMessage:
    """The same mail with an HTML part made of its text; one that has such a part stays as it is."""
    message.extra_headers.setdefault("Auto-Submitted", "auto-generated")
    if isinstance(message, EmailMultiAlternatives) and message.alternatives:
        return message
    dressed = EmailMultiAlternatives(
        message.subject, message.body, message.from_email, message.to, headers=message.extra_headers
    )
    dressed.attach_alternative(html(str(message.subject), str(message.body)), "text/html")
    return dressed


def html(subject: str, text: str) -> str:
    """Paragraphs as such; an address of the site alone on its line is a button, a code stands by itself."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip())
    blocks = [{"html": _block(paragraph.strip())} for paragraph in paragraphs if paragraph.strip()]
    context = {"subject": subject, "blocks": blocks, "site_title": settings.SITE_TITLE, "site_url": settings.SITE_URL}
    return render_to_string("mail/layout.html", context)


def _block(text: str) -> SafeString:
    if text.startswith(f"{settings.SITE_URL}/") and not re.search(r"\s", text):
        return format_html('<p><a class="button" href="{}">Continue</a></p>', text)
    if CODE.fullmatch(text):
        return format_html('<p class="code">{}</p>', text)
    return mark_safe(linebreaks(mark_safe(urlize(text, autoescape=True))))  # noqa: S308  # escaped by urlize
