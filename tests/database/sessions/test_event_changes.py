"""The worker changes stored events."""

import asyncio
from decimal import Decimal

import asyncpg
import msgspec
import pytest

from collector.database.sessions.event_changes import EventChange, change_events
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event
from tests.database.rows import OTHER_PROJECT, an_event, days_ago, normalized, stored

pytestmark = pytest.mark.integration


async def _change(pool: asyncpg.Pool, *changes: EventChange) -> set[bytes]:
    async with pool.acquire() as connection, connection.transaction():
        return await change_events(connection, changes)


def _change_of(event: Event, members: bytes = b'{"new":1}', **rest: object) -> EventChange:
    return msgspec.convert(
        {"project_id": event.project_id, "event_id": event.id, "members": members, **rest}, EventChange
    )


async def test_members_and_value_are_set_in_events_of_any_day(pool: asyncpg.Pool) -> None:
    """Other members stay as they are."""
    events = [an_event(accepted=days_ago(number), value=Decimal(5)) for number in (1, 0)]
    await BatchStore(pool).save([normalized(*events)])

    changed = await _change(pool, _change_of(events[0], value=Decimal("1.5")), _change_of(events[1]))

    assert changed == {event.id for event in events}
    rows = await stored(pool)
    assert [row["value"] for row in rows] == [Decimal("1.5"), Decimal(5)]
    assert [msgspec.json.decode(row["data"]) for row in rows] == [{"answer": 42, "new": 1}] * 2


async def test_a_member_is_taken_out_before_others_are_put_in(pool: asyncpg.Pool) -> None:
    """As when a session that had ended continues."""
    event = an_event(data=b'{"a":1,"b":2}')
    await BatchStore(pool).save([normalized(event)])

    await _change(pool, _change_of(event, b'{"c":3}', dropped="a"))

    assert msgspec.json.decode((await stored(pool))[0]["data"]) == {"b": 2, "c": 3}


async def test_an_event_without_data_gets_some(pool: asyncpg.Pool) -> None:
    """Its column is null before."""
    event = an_event(data=None)
    await BatchStore(pool).save([normalized(event)])

    await _change(pool, _change_of(event))

    assert msgspec.json.decode((await stored(pool))[0]["data"]) == {"new": 1}


async def test_an_event_that_does_not_exist_is_not_returned(pool: asyncpg.Pool) -> None:
    """Its partition was dropped, it was never stored, or it belongs to another project."""
    event = an_event()
    await BatchStore(pool).save([normalized(event)])
    others = [
        an_event(),
        an_event(accepted=days_ago(400)),
        msgspec.structs.replace(event, project_id=OTHER_PROJECT.bytes),
    ]

    assert await _change(pool, *map(_change_of, others)) == set()
    assert await _change(pool) == set()
    assert msgspec.json.decode((await stored(pool))[0]["data"]) == {"answer": 42}


async def test_concurrent_changes_of_the_same_events_do_not_deadlock(pool: asyncpg.Pool) -> None:
    """In whatever order they list them."""
    events = [an_event() for _ in range(50)]
    await BatchStore(pool).save([normalized(*events)])

    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            turned = events[::-1] if number % 2 else events
            tasks.create_task(_change(pool, *(_change_of(event, b'{"new":%d}' % number) for event in turned)))

    assert all("new" in msgspec.json.decode(row["data"]) for row in await stored(pool))
