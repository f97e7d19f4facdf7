"""Where mails go when there is no server for them: into a folder on a laptop, nowhere in production."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

log = logging.getLogger(__name__)


class Folder(BaseEmailBackend):
    """One file for each mail, which any mail program opens. A second copy of a mail takes the place of the first."""

    def __init__(self, file_path: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = Path(file_path or settings.MAIL_FOLDER)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for message in email_messages:
            self._write(message)
        return len(email_messages)

    def _write(self, message: EmailMessage) -> None:
        made = message.message()
        words = re.sub(r"[^\w@.]+", "-", f"{message.to[0] if message.to else ''} {message.subject}")[:80].strip("-")
        mark = re.sub(r"\W", "", str(made["Message-ID"]).partition("@")[0])[-8:]
        path = self.folder / f"{words}-{mark}.eml"
        new = path.with_suffix(".new")
        # What a mail says is for its reader alone: it may hold a link that lets somebody in.
        with open(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(made.as_bytes())
        new.replace(path)
        log.info("a mail lies in %s", path)


class NoMailServer(ConnectionError):
    """There is nobody to give a mail to."""


class NoServer(BaseEmailBackend):
    """In production nothing is printed or kept: mails wait in the data base until a mail server is set."""

    def open(self) -> bool:
        raise NoMailServer(
            "No mail server is configured (docs/operators.md, section Settings: EMAIL_URL or MAILGUN_API_KEY)."
        )

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.open()
        return 0
