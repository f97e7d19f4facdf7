"""A seat is given once, however many come for it at the same moment; on PostgreSQL and SQLite."""

import pytest

from tests.support.racers import Racers

pytestmark = pytest.mark.slow

WHAT = "tests.support.races.seats"


def test_one_seat_is_given_once_to_one_person(racers: Racers) -> None:
    racers.run(f"{WHAT}:world", "seats")
    turns = [(how, number) for number in range(10) for how in ("sign-in", "link")]
    assert sorted(racers.race(f"{WHAT}:come", turns)) == ["0"] * 9 + ["1"] + ["in"] + ["used"] * 9
    assert racers.run(f"{WHAT}:facts", "seats") == [2, 1, 2, 1]
