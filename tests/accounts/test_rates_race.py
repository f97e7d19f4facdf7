"""Many requests at once are counted one by one."""

import pytest

from mlsite.settings import RATE_LIMITS
from tests.support.racers import Racers

pytestmark = pytest.mark.slow

WHAT = "tests.support.races.rates"
TRIES = 30


def test_of_many_at_once_as_many_succeed_as_the_limit_says(racers: Racers) -> None:
    racers.run(f"{WHAT}:world", "rates")
    outcomes = racers.race(f"{WHAT}:ask", [("rates", number) for number in range(TRIES)])
    most = RATE_LIMITS["ask"]
    assert sorted(outcomes) == ["ok"] * most + ["too-often"] * (TRIES - most)
