"""A workload as its card and its page show it."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.rules import authority
from k8s.diagnosis.story import judged, story
from labs.models import EndReason, Lab, State
from labs.services.ending import ends_soon
from labs.services.overview import with_place_in_queue

from .endings import Ending, ending_of

#: Cards on a page; each of them is in the address of the page's polling.
MOST_CARDS = 100
#: A failure stays in view this long.
FAILURE_SHOWN = datetime.timedelta(days=1)
#: A card that ends while it is looked at says so, rather than vanish.
END_TOLD = datetime.timedelta(minutes=10)
#: Seconds between two looks, while something changes and while it only might.
FAST, SLOW = 2, 30
MEMORY_CAUSES = ("out-of-memory", "clone-memory")
RELATED = ("instance", "owner", "template", "cluster")


@dataclass
class Card:
    """A lab, who looks at it, and when."""

    lab: Lab
    viewer: User
    now: datetime.datetime

    @property
    def key(self) -> str:
        return str(self.lab.pk.hex[:12])

    @cached_property
    def digest(self) -> str:
        """Changes with whatever the card shows, except for what the page counts on by itself."""
        lab = self.lab
        shown = (
            lab.state, lab.is_ready, lab.end_reason, lab.diagnosis, lab.steps, lab.expires_at, lab.cluster_events, lab.lost_at, lab.removal,
            self.place, getattr(lab, "next_end", None), self.is_over, self.is_unknown, self.ends_soon,
        )  # fmt: skip
        return hashlib.blake2s(repr(shown).encode(), digest_size=4).hexdigest()

    @property
    def is_mine(self) -> bool:
        return self.lab.owner_id == self.viewer.pk

    @property
    def can_open(self) -> bool:
        return self.is_mine and self.lab.state == State.RUNNING and self.lab.is_ready

    @property
    def can_extend(self) -> bool:
        return self.is_mine and self.lab.state == State.RUNNING and not self.is_over

    @property
    def left(self) -> datetime.timedelta | None:
        return self.lab.time_left(self.now)

    @property
    def is_over(self) -> bool:
        """Its time is over, and the sweep has not come by yet."""
        return self.left is not None and not self.left

    @property
    def ends_soon(self) -> bool:
        return bool(self.left) and ends_soon(self.lab, self.now)

    @property
    def has_ended(self) -> bool:
        """Whether its page begins with how it ended: not of one that failed, whose diagnosis says it."""
        return self.lab.state in (State.STOPPING, State.ENDED) and not self.has_failed

    @cached_property
    def ending(self) -> Ending:
        """How it ended, or ends. One query."""
        return ending_of(self.lab, self.viewer)

    @cached_property
    def is_unknown(self) -> bool:
        """Its cluster is silent: what is shown is what was last known."""
        return self.lab.is_unknown(self.now)

    @property
    def is_starting(self) -> bool:
        return self.lab.state in (State.REQUESTED, State.STARTING)

    @property
    def has_failed(self) -> bool:
        return self.lab.end_reason == EndReason.FAILED

    @property
    def tells_loss(self) -> bool:
        """Whether it is to be said that its files are gone: for as long as it lives. Of one that failed, its diagnosis says it."""
        return bool(self.lab.lost_at) and self.lab.state == State.RUNNING

    @property
    def rate(self) -> int:
        """Seconds until it is worth looking again; 0: never."""
        if self.lab.is_changing or self.is_over:
            return FAST
        return SLOW if self.lab.is_live else 0

    @property
    def place(self) -> int | None:
        """Its place in the queue, from 1."""
        return (getattr(self.lab, "ahead", None) or 0) + 1 if self.lab.state == State.QUEUED else None

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Where the start has got to; the step under way with the moment since which it is."""
        known = self.lab.steps or [
            {"title": "Accepted", "state": "done", "at": self.lab.created_at.isoformat(), "note": ""},
            {"title": "Finding a machine", "state": "now", "at": None, "note": ""},
        ]
        since, made = self.lab.created_at.isoformat(), []
        for step in known:
            since = step.get("at") or since
            made.append({**step, "since": datetime.datetime.fromisoformat(since) if step["state"] == "now" else None})
        return made

    @cached_property
    def shows_technical(self) -> bool:
        """Whether the viewer helps to run the instance: they see the cluster's own lines too. One query."""
        return authority.can_see_console(self.viewer, self.lab.instance)

    @property
    def story(self) -> list[dict[str, Any]]:
        """What the cluster said, in plain words."""
        return story(self.lab.cluster_events, self.lab.started_at, is_over=not self.lab.can_stop)

    @property
    def cluster_lines(self) -> list[tuple[dict[str, Any], bool]]:
        """What the cluster said in its own words, and whether each line is a cause for alarm; for the staff."""
        return list(judged(self.lab.cluster_events, self.lab.started_at))

    @property
    def needs_memory(self) -> bool:
        return bool(self.lab.trouble and self.lab.trouble.get("cause") in MEMORY_CAUSES)

    @property
    def can_launch_again(self) -> bool:
        """Whether "Launch again" leads anywhere: one's own, in an instance that runs."""
        return self.is_mine and self.lab.instance.is_running(timezone.localdate(self.now))

    @property
    def again_url(self) -> str:
        """The launch form with the answers of this lab."""
        page = reverse("launch", args=[self.lab.instance.slug, self.lab.template.slug])
        return f"{page}?like={self.lab.pk}" + ("&more=memory" if self.needs_memory else "")

    @property
    def again_text(self) -> str:
        return f"Launch again with {self.lab.memory_mib * 2 / 1024:.4g} GiB" if self.needs_memory else "Launch again"


def of_person(user: User, now: datetime.datetime) -> list[Card]:
    """What runs or waits, and what failed of late. One query."""
    recent_failure = Q(state=State.ENDED, end_reason=EndReason.FAILED, ended_at__gte=now - FAILURE_SHOWN)
    found = _cards(user, ~Q(state=State.ENDED) | recent_failure, now)
    # A failure that was launched again has been dealt with.
    newest: dict[str, Card] = {}
    for card in found:
        newest.setdefault(card.lab.name, card)
    return [card for card in found if card.lab.is_live or newest[card.lab.name] is card]


def of_poll(user: User, now: datetime.datetime) -> list[Card]:
    """The same, and what has ended while somebody may have been looking. One query."""
    return _cards(user, ~Q(state=State.ENDED) | Q(ended_at__gte=now - END_TOLD), now)


def one(lab: Lab, user: User, now: datetime.datetime) -> Card:
    return Card(lab, user, now)


def _cards(user: User, wanted: Q, now: datetime.datetime) -> list[Card]:
    rows = with_place_in_queue(Lab.objects.visible_to(user).filter(wanted, owner=user).select_related(*RELATED))
    return [Card(cast(Lab, lab), user, now) for lab in rows[:MOST_CARDS]]


def rate(cards: list[Card]) -> int:
    """Seconds until it is worth looking again at these; 0: never."""
    return min((card.rate for card in cards if card.rate), default=0)
