"""Batch ids are deleted when their batch can no longer be replayed."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from collector.database.writing.batch_ids import forget_stored_batches
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Tally
from tests.database.rows import an_event, days_ago, normalized, post_id

pytestmark = pytest.mark.integration


async def test_only_old_ids_are_deleted(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch stored recently is still a replay; old ids are deleted chunk by chunk until none is left."""
    monkeypatch.setattr("collector.database.forgetting.STEP_ROWS", 3)
    await pool.execute(
        "INSERT INTO stored_batches SELECT id, now() - interval '3 days' FROM unnest($1::uuid[]) AS id",
        [UUID(bytes=post_id(days_ago(3))) for _ in range(7)],
    )
    await pool.execute(
        "INSERT INTO repeated_entries SELECT 0, n::text, gen_random_uuid(), now() - make_interval(days => n)"
        " FROM generate_series(1, 4) AS n"
    )
    batch = normalized(an_event())
    await BatchStore(pool).save([batch])

    assert await forget_stored_batches(pool, timedelta(days=2)) == 7
    assert await pool.fetchval("SELECT array_agg(entry_id) FROM repeated_entries") == ["1"]
    assert await forget_stored_batches(pool, timedelta(days=2)) == 0
    assert await BatchStore(pool).save([batch]) == Tally(replayed=1)
