"""The events that reading is measured on: a month of them, the same in every run, stored as a worker does.

Loading resumes after an interruption: it skips the batches that are already stored.
"""

import dataclasses
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from collector.database.owners.organizations import add_organization
from collector.database.owners.projects import add_project
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import NormalizedBatch
from collector.domain.ids import PostIds
from collector.domain.intake.normalize import make_batch, normalize, rules_from_settings
from collector.domain.post import Post
from loadtests.benchmarks.posts import a_log, an_error

ORGANIZATION: Final = UUID("01a00000-0000-7000-8000-00000000000a")
PROJECT: Final = UUID("01a00000-0000-7000-8000-000000000001")
BATCH_EVENTS: Final = 1000

_DAYS: Final = 30
_SHARE_OF_ERRORS: Final = 0.1
_BODY_LIMIT_BYTES: Final = 20_000_000


async def load(pool: asyncpg.Pool, folder: Path, events: int, on_progress: Callable[[int], None]) -> datetime:
    """Store `events` events of the month before the first loading; return the end of that month."""
    end = _end_of_month(folder)
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Benchmark")
        await add_project(connection, PROJECT, ORGANIZATION, "Benchmark")
        stored: int = await connection.fetchval("SELECT count(*) FROM stored_batches")
    on_progress(stored * BATCH_EVENTS)
    store, batches = BatchStore(pool), events // BATCH_EVENTS
    for number in range(stored, batches):
        accepted = end - timedelta(days=_DAYS) * (1 - number / batches)
        await store.save([_batch(number, accepted)])
        on_progress((number + 1) * BATCH_EVENTS)
    async with pool.acquire() as connection:
        await connection.execute("VACUUM ANALYZE", timeout=600)
    return end


def _batch(number: int, accepted: datetime) -> NormalizedBatch:
    """Logs, with every tenth event an error of some 6 kB. Sessions are omitted: nothing reads them."""
    random_ = random.Random(number)
    bodies = [
        (an_error if random_.random() < _SHARE_OF_ERRORS else a_log)(random_, accepted)
        for _ in range(BATCH_EVENTS)
    ]
    ids = PostIds(random.Random(number).getrandbits)
    post = Post(
        ids.next(int(accepted.timestamp() * 1000)),
        ORGANIZATION.bytes,
        PROJECT.bytes,
        json.dumps(bodies).encode(),
    )
    batch = make_batch(post.id, [normalize(post, rules_from_settings(_BODY_LIMIT_BYTES, 0))])
    events = [msgspec.structs.replace(event, session_key=None) for event in batch.events]
    return dataclasses.replace(batch, events=events)


def _end_of_month(folder: Path) -> datetime:
    kept = folder / "end"
    if not kept.exists():
        kept.write_text(datetime.now(UTC).isoformat())
    return datetime.fromisoformat(kept.read_text())
