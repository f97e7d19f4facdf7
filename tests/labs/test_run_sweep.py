"""The minute's task sweeps people and labs, and nothing that goes wrong keeps one part from the next."""

from __future__ import annotations

from typing import NoReturn

import pytest

from accounts.services import deletion, outbox
from k8s.errors import Unavailable
from labs import tasks
from labs.services import classes, retention, sweep

pytestmark = pytest.mark.django_db


def test_it_goes_over_people_and_labs_each_part_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def odd(now: object) -> NoReturn:
        raise ValueError("an odd row")

    def silent(now: object) -> NoReturn:
        raise Unavailable("The cluster does not answer.")

    monkeypatch.setattr(deletion, "finish_all", odd)
    monkeypatch.setattr(outbox, "forget_old", lambda now: done.append("mails"))
    monkeypatch.setattr(sweep, "end_due", odd)
    monkeypatch.setattr(classes, "remind", silent)
    monkeypatch.setattr(retention, "remind", lambda now: done.append("instances"))
    tasks.run_sweep()
    assert done == ["mails", "instances"]
    assert len([entry for entry in caplog.records if entry.exc_info]) == 2
    assert "The cluster does not answer." in caplog.text
