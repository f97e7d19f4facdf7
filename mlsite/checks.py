"""What `manage.py check --deploy` looks at beside Django's own: settings with which the site runs, but not as people expect."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

#: Mail backends by which no mail ever reaches anybody.
REACH_NOBODY = {
    "accounts.backends.NoServer",
    "accounts.backends.Folder",
    *(f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy", "filebased", "locmem")),
}
NO_MAIL_SERVER = checks.Warning(
    "No mail server is configured: e-mails wait in the database, and nobody can confirm an address or reset a password.",
    hint="Set EMAIL_URL or MAILGUN_API_KEY (docs/operators.md, section Mail).",
    id="mlsite.W001",
)


def mail_server(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warns where mails reach nobody. Codes for signing in are sent at once or not at all, so a site without a server is half shut."""
    return [NO_MAIL_SERVER] if settings.EMAIL_BACKEND in REACH_NOBODY else []


def register() -> None:
    checks.register(mail_server, "mail", deploy=True)
