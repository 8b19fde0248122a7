"""Random histories of events: stored, repeated, deleted, of discarded stacks, before and after rollups."""

import random
from datetime import timedelta
from typing import Any

import asyncpg
from hypothesis import strategies as st

from collector.database.schema.rollup_changes import fold_changes
from collector.database.schema.rollups import make_rollups
from collector.database.search.event_removal import remove_events
from collector.database.search.stacks import change_status
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event
from collector.domain.event.stack import StackStatus
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, days_ago, normalized, today

STEPS = st.lists(
    st.sampled_from(["store", "store", "repeat", "delete", "discard", "fold", "roll_up", "lose_rollups"]),
    max_size=14,
)


async def age_outdated(pool: asyncpg.Pool) -> None:
    """Let the time pass in which the rollups of a changed day are not made again."""
    await pool.execute("UPDATE rollup_days SET outdated_utc = outdated_utc - interval '10 minutes'")


class History:
    """Random events of two projects and a few stacks, and what happens to them."""

    def __init__(self, pool: asyncpg.Pool, seed: int) -> None:
        self._pool, self._store, self._random = pool, BatchStore(pool), random.Random(seed)  # noqa: S311
        self._batches: list[Any] = []

    def event(self) -> Event:
        random_ = self._random
        accepted = days_ago(random_.randrange(3)) + timedelta(minutes=random_.randrange(600))
        members: dict[str, Any] = {
            "source": random_.choice("abcd"),
            "type": random_.choice(["log", "error", "usage"]),
            "project_id": random_.choice([PROJECT, PROJECT, OTHER_PROJECT]),
            "date": accepted - timedelta(seconds=random_.choice([0, 5, 3_000, 90_000, 250_000])),
            "count": random_.choice([None, None, 1, 7]),
        }
        if random_.random() < 0.8:
            identity = f"user-{random_.randrange(6)}".encode()
            members["data"] = b'{"@user":{"identity":"' + identity + b'"}}'
        if random_.random() < 0.5:
            members["reference_id"] = f"reference-{random_.randrange(30)}"
        return an_event(accepted=accepted, place=random_.randrange(1 << 18), **members)

    async def begin(self) -> None:
        """Forget what earlier histories have left."""
        await self._pool.execute(
            "TRUNCATE events, stacks, event_hours, event_hour_changes, event_days, user_hours,"
            " stack_user_days, stored_batches, repeated_entries, sessions"
        )

    async def happen(self, steps: list[str]) -> None:
        """Store some events, then do each step."""
        for step in ["store", *steps]:
            await getattr(self, step)()

    async def store(self) -> None:
        self._batches.append(normalized(*(self.event() for _ in range(self._random.randrange(1, 12)))))
        await self._store.save([self._batches[-1]])

    async def repeat(self) -> None:
        if self._batches:
            await self._store.save([self._random.choice(self._batches), normalized(self.event())])

    async def delete(self) -> None:
        rows = await self._pool.fetch("SELECT id FROM events ORDER BY id")
        ids = [row["id"] for row in rows if self._random.random() < 0.3]
        async with self._pool.acquire() as connection:
            await remove_events(connection, [PROJECT, OTHER_PROJECT], ids)

    async def discard(self) -> None:
        rows = await self._pool.fetch("SELECT id FROM stacks ORDER BY id")
        status = self._random.choice([StackStatus.DISCARDED, StackStatus.OPEN, StackStatus.FIXED])
        async with self._pool.acquire() as connection:
            ids = [row["id"] for row in rows if self._random.random() < 0.3]
            await change_status(connection, ids, status, today())

    async def fold(self) -> None:
        await fold_changes(self._pool)

    async def roll_up(self) -> None:
        await fold_changes(self._pool)
        await age_outdated(self._pool)
        await make_rollups(self._pool)

    async def lose_rollups(self) -> None:
        """As a partition from before there were rollups has none."""
        await self._pool.execute(
            "DELETE FROM rollup_days WHERE day = $1",
            self._random.choice([days_ago(0).date(), days_ago(1).date()]),
        )
