"""How mail leaves the site: by Mailgun, by an SMTP server, or, on a laptop, into a folder. For `mlsite.settings`."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from . import env

MAILGUN = "anymail.backends.mailgun.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
#: Scheme of EMAIL_URL → how the connection is encrypted, and the usual port.
SCHEMES = {"smtp": ("", 25), "smtp+tls": ("EMAIL_USE_TLS", 587), "smtps": ("EMAIL_USE_SSL", 465)}


def read(*, debug: bool, folder: Path) -> dict[str, Any]:
    """Django's and Anymail's settings, from the environment. `folder`: where mails go with DEBUG when nothing else is said."""
    mailgun = _mailgun()
    smtp = _smtp()
    if mailgun.get("MAILGUN_API_KEY"):
        backend = MAILGUN
    elif smtp:
        backend = SMTP
    else:
        backend = "accounts.backends.Folder" if debug else "accounts.backends.NoServer"
    return {
        "EMAIL_BACKEND": env.text("EMAIL_BACKEND", backend),
        "MAIL_FOLDER": str(folder),
        "EMAIL_TIMEOUT": 10,
        "ANYMAIL": mailgun,
        **smtp,
    }


def _mailgun() -> dict[str, Any]:
    given = {
        "MAILGUN_API_KEY": env.text("MAILGUN_API_KEY", ""),
        "MAILGUN_SENDER_DOMAIN": env.text("MAILGUN_SENDER_DOMAIN", ""),
        "MAILGUN_API_URL": env.text("MAILGUN_API_URL", ""),
        "MAILGUN_WEBHOOK_SIGNING_KEY": env.text("MAILGUN_WEBHOOK_SIGNING_KEY", ""),
    }
    return {
        **{name: value for name, value in given.items() if value},
        # Seconds to connect, and to wait for an answer.
        "REQUESTS_TIMEOUT": (5, 15),
        # A tracked link would go through Mailgun's servers, and ours carry signatures.
        "MAILGUN_SEND_DEFAULTS": {"track_clicks": False, "track_opens": False},
    }


def _smtp() -> dict[str, Any]:
    """EMAIL_URL: smtp+tls://user:password@host:587, smtps://... or smtp://..."""
    if not (url := env.text("EMAIL_URL", "")):
        return {}
    try:
        parts = urlsplit(url)
        encryption, port = SCHEMES[parts.scheme]
        port = parts.port or port
    except (KeyError, ValueError):
        # Without the value: it holds a password.
        raise ImproperlyConfigured("EMAIL_URL must be like smtp+tls://user:password@host:587.") from None
    if not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL has no host.")
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        **({encryption: True} if encryption else {}),
    }
