"""Invariant 2: no request, however many at once, takes an instance over a limit."""

from tests.support.racers import Racers

LAUNCHES, ROOM = 50, 10
WHAT = "tests.support.races.launches"


def test_of_50_launches_at_once_exactly_as_many_succeed_as_there_is_room(racers: Racers) -> None:
    racers.run(f"{WHAT}:world", "race")
    outcomes = racers.race(f"{WHAT}:start", [("race", number) for number in range(LAUNCHES)])
    assert sorted(outcomes) == ["ok"] * ROOM + ["over-limit"] * (LAUNCHES - ROOM)
    assert racers.run(f"{WHAT}:used", "race") == ROOM * 1000
