"""A host has one owner, however many ask for it at once, and whatever ends meanwhile."""

import pytest

from tests.support.racers import Racers
from tests.support.races.hosts import PEOPLE

pytestmark = pytest.mark.slow

WHAT = "tests.support.races.hosts"


def test_of_many_who_want_a_name_at_once_one_gets_it_for_good(racers: Racers) -> None:
    racers.run(f"{WHAT}:world", "hosts")
    turns = [("hosts", number) for number in range(PEOPLE)]
    outcomes = racers.race(f"{WHAT}:start", turns)
    (winner,) = {outcome for outcome in outcomes if outcome != "name"}
    assert sorted(outcomes) == sorted([winner, *["name"] * (PEOPLE - 1)])
    assert sorted(racers.race(f"{WHAT}:start", turns)) == sorted(outcomes)
