"""Stacks whose events are gone are forgotten, unless people have decided about them."""

import asyncpg
import pytest

from collector.database.writing.old_stacks import forget_stacks
from collector.database.writing.store import BatchStore
from tests.database.rows import an_event, normalized

pytestmark = pytest.mark.integration

DECISIONS = (
    "UPDATE stacks SET status = 'ignored' WHERE id = $1",
    "UPDATE stacks SET occurrences_are_critical = true WHERE id = $1",
    """UPDATE stacks SET "references" = ARRAY['https://example.com/4711'] WHERE id = $1""",
)


async def test_stacks_without_events_are_forgotten_and_those_with_a_decision_stay(pool: asyncpg.Pool) -> None:
    """A stack that got an event within retention stays as well."""
    store = BatchStore(pool)
    await store.save([normalized(*(an_event(type=f"kind {number}") for number in range(5)))])
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM stacks ORDER BY title, id")]
    assert len(ids) == 5
    for stack_id, decision in zip(ids, DECISIONS, strict=False):
        await pool.execute(decision, stack_id)
    await pool.execute("UPDATE stacks SET updated_utc = now() - interval '33 days' WHERE id <> $1", ids[4])

    assert await forget_stacks(pool, 30) == 1

    assert {row["id"] for row in await pool.fetch("SELECT id FROM stacks")} == {*ids[:3], ids[4]}
