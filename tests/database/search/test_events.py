"""Events are found and deleted by their ids."""

from uuid import UUID

import asyncpg
import msgspec
import pytest

from collector.database.search.event_removal import remove_events
from collector.database.search.events import EventKey, find_event, find_events_by_key
from collector.database.writing.store import BatchStore
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, as_stored, days_ago, normalized

pytestmark = pytest.mark.integration


async def test_an_event_comes_back_as_it_was_stored(pool: asyncpg.Pool) -> None:
    """The same value, except that it is its stack's first; `data` is JSON."""
    event = an_event(tags=("a",), reference_id="order-4711")
    await BatchStore(pool).save([normalized(event)])
    stored = as_stored(msgspec.structs.replace(event, is_first_occurrence=True))

    async with pool.acquire() as connection:
        assert await find_event(connection, [PROJECT], stored.id) == stored
        assert await find_event(connection, [OTHER_PROJECT], stored.id) is None
        assert await find_event(connection, [], stored.id) is None


async def test_events_are_read_from_existing_partitions(pool: asyncpg.Pool) -> None:
    """Those of dropped partitions are left out."""
    events = [an_event(accepted=days_ago(age)) for age in (0, 5, 40)]
    await BatchStore(pool).save([normalized(*events)])
    events[-1] = msgspec.structs.replace(events[-1], is_first_occurrence=True)
    stored = [as_stored(event) for event in events]
    keys = [EventKey(event.project_id, event.id) for event in stored]

    async with pool.acquire() as connection:
        found = await find_events_by_key(connection, [*keys, EventKey(OTHER_PROJECT, stored[0].id)])
        assert sorted(found, key=lambda event: event.id, reverse=True) == stored
        assert await find_events_by_key(connection, [EventKey(PROJECT, UUID(int=7))]) == []


async def test_deleted_events_are_counted_by_day(pool: asyncpg.Pool) -> None:
    """So that the ledger can tell them from lost ones. Only events of the given projects are deleted."""
    events = [an_event(accepted=days_ago(age)) for age in (0, 0, 3)]
    kept, foreign = an_event(), an_event(project_id=OTHER_PROJECT)
    await BatchStore(pool).save([normalized(*events, kept, foreign)])
    ids = [UUID(bytes=event.id) for event in (*events, foreign)]

    async with pool.acquire() as connection:
        assert await remove_events(connection, [PROJECT], []) == set()
        assert await remove_events(connection, [PROJECT], ids[:1]) == {ids[0]}
        assert await remove_events(connection, [PROJECT], ids) == set(ids[1:3])
        left = await connection.fetch("SELECT id FROM events")
        noted = await connection.fetch("SELECT project_id, day, events FROM removed_events ORDER BY day")

    assert {row["id"].bytes for row in left} == {kept.id, foreign.id}
    assert [tuple(row) for row in noted] == [
        (PROJECT, days_ago(3).date(), 1),
        (PROJECT, days_ago(0).date(), 2),
    ]
