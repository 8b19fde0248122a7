"""The store assigns events to sessions, counts derived starts separately, and does so once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from collector.database.sessions.upkeep import update_start_events
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event, Tally, UserDescription
from collector.domain.ids import accepted_at, derived_event_id
from tests.database.rows import days_ago, normalized, stored, today, usage
from tests.database.session_rows import a_user_event, make_older, sessions

pytestmark = pytest.mark.integration

MINUTE = timedelta(minutes=1)


def _recent(minutes: float = 0, **members: Any) -> Event:
    return a_user_event(today() + minutes * MINUTE, **members)


async def _by_type(pool: asyncpg.Pool) -> dict[str, list[asyncpg.Record]]:
    rows = await stored(pool)
    return {name: [row for row in rows if row["type"] == name] for name in {row["type"] for row in rows}}


def _session_of(row: asyncpg.Record) -> str:
    named: str = msgspec.json.decode(row["data"])["@ref:session"]
    return named


async def test_a_users_events_are_stored_with_their_session(pool: asyncpg.Pool) -> None:
    """With the derived start, which has a stack like every event."""
    tally = await BatchStore(pool).save([normalized(_recent(0), _recent(1))])

    rows = await _by_type(pool)
    [start] = rows["session"]
    assert {_session_of(row) for row in rows["log"]} == {start["reference_id"]}
    assert start["stack_id"] is not None
    assert (start["value"], start["date"]) == (0, today())
    assert tally == Tally(stored=2, derived=1)
    assert await usage(pool) == {("stored", ""): 2, ("stored", "derived"): 1}


async def test_a_replay_makes_no_second_session(pool: asyncpg.Pool) -> None:
    """Nor a second count."""
    batch = normalized(_recent(0), _recent(1, type="sessionend"))
    store = BatchStore(pool)
    first = await store.save([batch])

    assert await store.save([batch]) == Tally(replayed=1)
    assert first == Tally(stored=1, discarded=1, derived=1)
    assert (len(await stored(pool)), len(await sessions(pool))) == (2, 1)
    assert await usage(pool) == {
        ("stored", ""): 1,
        ("stored", "derived"): 1,
        ("discarded", "session_end"): 1,
    }


async def test_two_workers_with_one_users_events_make_one_session(pool: asyncpg.Pool) -> None:
    """Each has its own batch, at the same time."""
    stores = [BatchStore(pool) for _ in range(4)]
    batches = [normalized(_recent(number, user=user)) for number in range(4) for user in ("jane", "john")]

    async with asyncio.TaskGroup() as tasks:
        for number, store in enumerate(stores):
            tasks.create_task(store.save(batches[2 * number : 2 * number + 2]))

    rows = await _by_type(pool)
    assert (len(rows["session"]), len(rows["log"]), len(await sessions(pool))) == (2, 8, 2)
    assert {_session_of(row) for row in rows["log"]} == {row["reference_id"] for row in rows["session"]}


async def test_a_second_start_is_discarded_with_a_reason(pool: asyncpg.Pool) -> None:
    """The derived one was stored before the client's own arrived."""
    store = BatchStore(pool)
    await store.save([normalized(_recent(0))])
    tally = await store.save([normalized(_recent(1, type="session"))])

    assert tally == Tally(discarded=1)
    assert (await usage(pool))["discarded", "repeated_session_start"] == 1


async def test_a_session_goes_on_over_midnight(pool: asyncpg.Pool) -> None:
    """Its events are in two partitions; its start is in that of the first event."""
    midnight = today().replace(hour=0)
    before, after = midnight - MINUTE, midnight + MINUTE
    store = BatchStore(pool)
    events = [a_user_event(moment, accepted=moment) for moment in (before, after)]
    for event in events:
        await store.save([normalized(event)])

    rows = await _by_type(pool)
    [start], [session] = rows["session"], await sessions(pool)
    assert start["id"].bytes == derived_event_id(events[0].id)
    assert accepted_at(start["id"].bytes) == before
    assert {_session_of(row) for row in rows["log"]} == {session["session_id"]}
    assert (session["start_utc"], session["last_utc"]) == (before, after)


async def test_events_with_ancient_dates_get_sessions(pool: asyncpg.Pool) -> None:
    """Without a limit on age any date is accepted, and Postgres can store it."""
    first = datetime(1, 1, 1, tzinfo=UTC)
    store = BatchStore(pool)

    assert await store.save([normalized(a_user_event(first))]) == Tally(stored=1, derived=1)
    assert await store.save([normalized(a_user_event(first))]) == Tally(stored=1)
    await make_older(pool, MINUTE)
    assert await update_start_events(pool, 10) == 1


async def test_a_start_with_a_repeated_reference_counts_as_a_duplicate(pool: asyncpg.Pool) -> None:
    """A client sends its start again; its reference id is the session's id."""
    store = BatchStore(pool)
    members = {"type": "session", "reference_id": "a-session-id"}
    await store.save([normalized(_recent(0, **members))])
    await pool.execute("DELETE FROM sessions")

    assert await store.save([normalized(_recent(0, **members))]) == Tally(duplicate=1)


async def test_a_derived_start_whose_reference_is_taken_is_not_stored_and_not_counted(
    pool: asyncpg.Pool,
) -> None:
    """A client's event has the session's id as its reference: it is kept."""
    store = BatchStore(pool)
    await store.save([normalized(_recent(0, session_key=None, reference_id="a-session-id"))])
    named = _recent(1, data=b'{"@ref:session":"a-session-id"}')
    manual = msgspec.structs.replace(
        named, session_key=named.session_key and named.session_key._replace(is_manual=True)
    )

    assert await store.save([normalized(manual)]) == Tally(stored=1)
    assert await usage(pool) == {("stored", ""): 2}


async def test_an_event_of_a_discarded_stack_still_counts_as_activity(pool: asyncpg.Pool) -> None:
    """The event is discarded, but its session is stored."""
    store = BatchStore(pool)
    await store.save([normalized(_recent(0, session_key=None))])
    await pool.execute("UPDATE stacks SET status = 'discarded'")

    assert await store.save([normalized(_recent(1))]) == Tally(discarded=1, derived=1)
    assert len(await sessions(pool)) == 1


async def test_without_sessions_events_stay_as_they_were_sent(pool: asyncpg.Pool) -> None:
    """With the setting off, starts and ends are ordinary events."""
    events = [_recent(0), _recent(1, type="sessionend")]

    assert await BatchStore(pool, has_sessions=False).save([normalized(*events)]) == Tally(stored=2)
    assert [row["data"] for row in await stored(pool)] == [b'{"@user": {"identity": "jane"}}'] * 2
    assert await sessions(pool) == []


async def test_a_description_is_kept_with_its_batch_once(pool: asyncpg.Pool) -> None:
    """It does not count as an event, and a replay does not insert it again."""
    batch = normalized()
    batch.descriptions.append(
        UserDescription(batch.id.bytes, b"\1" * 16, b"\2" * 16, "order-4711", b'{"description":"It broke."}')
    )
    store = BatchStore(pool)
    await store.save([batch])
    await store.save([batch])

    assert await pool.fetchval("SELECT count(*) FROM user_descriptions") == 1
    assert await usage(pool) == {}
    assert await pool.fetchval("SELECT events FROM processed") == 0


async def test_events_accepted_days_ago_are_stored_in_their_partition(pool: asyncpg.Pool) -> None:
    """So is their derived start."""
    accepted = days_ago(5)

    await BatchStore(pool).save([normalized(a_user_event(accepted, accepted=accepted))])

    assert {accepted_at(row["id"].bytes).date() for row in await stored(pool)} == {accepted.date()}
