"""What lets somebody in to a cluster is in no line of a log and in no result of the queue, whoever wrote it there."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import Task

from mlsite.logs import scrub

TOKEN = "t0ken-of-the-site"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzaXRlIn0.c2lnbmF0dXJl"
KEY = f"-----BEGIN EC PRIVATE KEY-----\n{TOKEN}\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"ValueError: Invalid header value b'Bearer {TOKEN}\\n{TOKEN}'", "ValueError: Invalid header value b'Bearer ...'"),
        (f"bearer {TOKEN}, and more", "bearer ..., and more"),
        (f"Authorization: Basic {TOKEN}", "Authorization: Basic ..."),
        (f"got {JWT}, here", "got ..., here"),
        (KEY, "-----BEGIN EC PRIVATE KEY-----...-----END EC PRIVATE KEY-----"),
        (f"{{'user': {{'token': '{TOKEN}', 'id-token': \"{TOKEN}\"}}}}", "{'user': {'token': '...', 'id-token': \"...\"}}"),
        ("basic access is enough; no bearer", "basic access is enough; no bearer"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out_and_nothing_else(text: str, left: str) -> None:
    assert scrub(text) == left


def test_lines_and_tracebacks_of_every_logger_are_scrubbed(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.root.handlers[:]
    logging.config.dictConfig(settings.LOGGING)
    try:
        for name in ("labs", "django.request", "django-q", "root"):
            try:
                raise ValueError(f"Invalid header value b'Bearer {TOKEN}'")
            except ValueError as problem:
                logging.getLogger(name).exception("%s failed: %s", name, problem)
    finally:
        logging.root.handlers = before
    written = capsys.readouterr().err
    assert written.count("Traceback") == 4
    assert "Bearer ..." in written
    assert TOKEN not in written


@pytest.mark.django_db
def test_what_the_queue_keeps_of_a_task_that_failed_is_scrubbed() -> None:
    now = timezone.now()
    row = Task.objects.create(
        id="x",
        name="x",
        func="x",
        started=now,
        stopped=now,
        success=False,
        result=f"Invalid header value b'Bearer {TOKEN}'",
    )
    row.refresh_from_db()
    assert row.result == "Invalid header value b'Bearer ...'"
