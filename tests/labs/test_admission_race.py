"""Invariant 2: no request, however many at once, takes an instance over a limit."""

import pytest

from tests.support.racers import Racers

pytestmark = pytest.mark.slow

LAUNCHES, ROOM = 50, 10
WHAT = "tests.support.races.launches"


def test_of_50_launches_at_once_exactly_as_many_succeed_as_there_is_room(racers: Racers) -> None:
    racers.run(f"{WHAT}:world", "race")
    outcomes = racers.race(f"{WHAT}:start", [("race", number) for number in range(LAUNCHES)])
    assert sorted(outcomes) == ["ok"] * ROOM + ["over-limit"] * (LAUNCHES - ROOM)
    assert racers.run(f"{WHAT}:used", "race") == ROOM * 1000


def test_the_same_launch_ten_times_at_once_is_one_lab(racers: Racers) -> None:
    racers.run(f"{WHAT}:world", "twice")
    outcomes = racers.race(f"{WHAT}:twice", [("twice", number) for number in range(10)])
    assert len(set(outcomes)) == 1
    assert len(outcomes[0]) == 36
    assert racers.run(f"{WHAT}:used", "twice") == 10_000
