"""Waits that grow after each failure, up to a bound."""

import asyncpg
import pytest

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.errors import DatabaseUnavailable
from worker.retry import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, Cause, cause_of, delay_seconds


@pytest.mark.parametrize(
    ("failures", "longest"),
    [
        pytest.param(1, FIRST_DELAY_SECONDS, id="the first"),
        pytest.param(2, 2 * FIRST_DELAY_SECONDS, id="twice as long"),
        pytest.param(4, 8 * FIRST_DELAY_SECONDS, id="and so on"),
        pytest.param(8, LONGEST_DELAY_SECONDS, id="up to the bound"),
        pytest.param(1_000_000, LONGEST_DELAY_SECONDS, id="also after days"),
    ],
)
def test_the_wait_doubles_up_to_a_bound(failures: int, longest: float) -> None:
    """With a random factor between a half and one, so that workers do not retry together."""
    assert delay_seconds(failures, 0.0) == pytest.approx(longest / 2)
    assert delay_seconds(failures, 0.5) == pytest.approx(longest * 0.75)
    assert delay_seconds(failures, 1.0) == pytest.approx(longest)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(DatabaseUnavailable("gone"), Cause.DATABASE_UNAVAILABLE, id="Postgres is gone"),
        pytest.param(BrokerUnavailable("gone"), Cause.BROKER_UNAVAILABLE, id="Redis is gone"),
        pytest.param(BrokerFull("full"), Cause.BROKER_FULL, id="Redis is full"),
        pytest.param(asyncpg.UndefinedTableError("no table"), Cause.UNFORESEEN, id="a bug"),
    ],
)
def test_outages_and_bugs_are_distinguished(error: Exception, cause: Cause) -> None:
    """By the metric's label, which says where to look."""
    assert cause_of(error) is cause
