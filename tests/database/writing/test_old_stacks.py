"""Stacks whose events are gone are forgotten, unless people have decided about them."""

from datetime import timedelta

import asyncpg
import pytest

from collector.database.writing.old_stacks import forget_stacks
from collector.database.writing.store import BatchStore
from tests.database.rows import an_event, normalized
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

DECISIONS = (
    "UPDATE stacks SET status = 'ignored' WHERE id = $1",
    "UPDATE stacks SET occurrences_are_critical = true WHERE id = $1",
    """UPDATE stacks SET "references" = ARRAY['https://example.com/4711'] WHERE id = $1""",
)


async def test_stacks_without_events_are_forgotten_and_those_with_a_decision_stay(pool: asyncpg.Pool) -> None:
    """A stack that got an event within retention stays as well."""
    store = BatchStore(pool)
    now = real_now()
    await store.save([normalized(*(an_event(type=f"kind {number}", accepted=now) for number in range(5)))])
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM stacks ORDER BY title, id")]
    assert len(ids) == 5
    for stack_id, decision in zip(ids, DECISIONS, strict=False):
        await pool.execute(decision, stack_id)
    await pool.execute("UPDATE stacks SET updated_utc = now() - interval '33 days' WHERE id <> $1", ids[4])

    assert await forget_stacks(pool, 30) == 1

    assert {row["id"] for row in await pool.fetch("SELECT id FROM stacks")} == {*ids[:3], ids[4]}


async def test_stacks_stay_until_the_partition_with_their_events_is_dropped(pool: asyncpg.Pool) -> None:
    """Partitions are dropped one by one after a shorter retention."""
    accepted = real_now() - timedelta(days=40)
    await BatchStore(pool).save([normalized(an_event(accepted=accepted))])
    await pool.execute("UPDATE stacks SET updated_utc = $1", accepted)
    assert await forget_stacks(pool, 30) == 0

    await pool.execute(f"DROP TABLE events_{accepted:%Y%m%d}")
    assert await forget_stacks(pool, 30) == 1


async def test_all_old_stacks_are_forgotten_in_steps(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.database.writing.old_stacks._ROWS_AT_ONCE", 2)
    events = [an_event(type=f"kind {number}", accepted=real_now()) for number in range(7)]
    await BatchStore(pool).save([normalized(*events)])
    await pool.execute("UPDATE stacks SET updated_utc = now() - interval '90 days'")

    assert await forget_stacks(pool, 30) == 7
