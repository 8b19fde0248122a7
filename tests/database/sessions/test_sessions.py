"""Sessions in Postgres: inserted once, updated with activity, ended after silence."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg
import msgspec
import pytest

from collector.database import chunks
from collector.database.sessions.session_writer import SessionWriter
from collector.database.sessions.upkeep import SILENCE, apply_beats, forget_sessions, update_start_events
from collector.domain.event.session_key import digest_of_key
from collector.domain.session.assignment import Assignment
from collector.domain.session.cache import ActiveSessions
from collector.domain.session.session import Beat
from collector.process.clock import SystemClock
from tests.database.rows import PROJECT, days_ago, today
from tests.database.session_rows import a_user_event, in_sessions, make_older, sessions
from tests.support.waiting import until

pytestmark = pytest.mark.integration

MINUTE = timedelta(minutes=1)


async def _partition(pool: asyncpg.Pool) -> None:
    await pool.execute("CREATE TABLE events_all PARTITION OF events DEFAULT")


async def _insert(pool: asyncpg.Pool, result: Assignment) -> None:
    """Insert the start events as the store does."""
    for event in [*result.events, *result.derived]:
        await pool.execute(
            "INSERT INTO events (id, project_id, organization_id, date, created_utc, date_offset_minutes,"
            " is_first_occurrence, type, tags, value, data)"
            " VALUES (encode($1, 'hex')::uuid, $2, $2, $3, $3, 0, false, $4, '{}', $5, $6)",
            event.id,
            PROJECT,
            event.date,
            event.type,
            event.value,
            event.data,
        )


async def _start(pool: asyncpg.Pool) -> tuple[Decimal, dict[str, object]]:
    """The value and the data of the only start event."""
    row = await pool.fetchrow("SELECT value, data FROM events WHERE type = 'session'")
    return row["value"], msgspec.json.decode(row["data"], type=dict[str, object])


async def test_a_session_is_found_again(pool: asyncpg.Pool) -> None:
    """By its key and date, in a later transaction."""
    noon = today()
    first = await in_sessions(pool, a_user_event(noon))
    second = await in_sessions(pool, a_user_event(noon + 10 * MINUTE, type="error"))

    [session] = await sessions(pool)
    assert (second.new, second.derived) == ([], [])
    assert session["session_id"] == first.new[0].session_id == second.touched[0].session_id
    assert (session["start_utc"], session["last_utc"]) == (noon, noon + 10 * MINUTE)
    assert session["has_error"]


async def test_late_events_of_a_user_find_their_own_session(pool: asyncpg.Pool) -> None:
    """A client that was offline sends its newest events first."""
    noon = today()
    await in_sessions(pool, a_user_event(noon))
    await in_sessions(pool, a_user_event(noon - 60 * MINUTE), a_user_event(noon - 50 * MINUTE))
    result = await in_sessions(pool, a_user_event(noon - 45 * MINUTE), a_user_event(noon + MINUTE))

    rows = await sessions(pool)
    assert [row["last_utc"] for row in rows] == [noon - 45 * MINUTE, noon + MINUTE]
    assert (len(result.touched), result.new) == (2, [])


async def test_two_transactions_with_a_users_first_events_begin_one_session(pool: asyncpg.Pool) -> None:
    """The second waits for the first and finds its session."""
    noon = today()
    async with pool.acquire() as one, asyncio.TaskGroup() as tasks:
        first = one.transaction()
        await first.start()
        await _session_writer(one).begin([a_user_event(noon, user) for user in ("jane", "john")])
        late = [a_user_event(noon + MINUTE, user) for user in ("john", "jane")]
        waiting = tasks.create_task(in_sessions(pool, *late))
        await until(lambda: _is_waiting(pool))
        await first.commit()
        result = await waiting

    assert (result.new, result.derived, len(result.touched)) == ([], [], 2)
    assert [row["last_utc"] for row in await sessions(pool)] == [noon + MINUTE] * 2


def _session_writer(connection: asyncpg.Connection) -> SessionWriter:
    return SessionWriter(connection, ActiveSessions(), SystemClock())


async def _is_waiting(pool: asyncpg.Pool) -> bool:
    waiting: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database())"
    )
    return waiting


@pytest.mark.parametrize(
    "rows_per_statement", [chunks.ROWS_PER_STATEMENT, 7], ids=["in one statement", "in slices"]
)
async def test_many_concurrent_transactions_start_each_session_once(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, rows_per_statement: int
) -> None:
    """Whatever the order of the users in each transaction: there is no deadlock."""
    monkeypatch.setattr(chunks, "ROWS_PER_STATEMENT", rows_per_statement)
    noon = today()
    users = [f"user {number}" for number in range(40)]
    batches = [[a_user_event(noon + n * MINUTE, user) for user in users[n:] + users[:n]] for n in range(8)]

    async with asyncio.TaskGroup() as tasks:
        for batch in batches:
            tasks.create_task(in_sessions(pool, *batch))

    rows = await sessions(pool)
    assert len(rows) == len(users)
    assert {row["last_utc"] for row in rows} == {noon + 7 * MINUTE}


async def test_no_statement_touches_more_sessions_than_a_slow_server_can_do(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One post may begin thousands; a statement that times out would time out in each retry."""
    monkeypatch.setattr(chunks, "ROWS_PER_STATEMENT", 7)
    events = [a_user_event(today(), f"user {number}") for number in range(20)]
    queries: list[str] = []
    async with pool.acquire() as connection:
        with connection.query_logger(lambda record: queries.append(record.query)):
            await _session_writer(connection).begin(events)
            session_writer = _session_writer(connection)
            await session_writer.begin(
                [msgspec.structs.replace(event, date=event.date + MINUTE) for event in events]
            )
            await session_writer.flush()

    assert sum("INSERT INTO sessions" in query for query in queries) == 3
    assert sum("UPDATE sessions" in query for query in queries) == 3


async def test_known_sessions_block_no_other_transaction(pool: asyncpg.Pool) -> None:
    """Two transactions with events of one user wait for each other only at their ends."""
    noon = today()
    await in_sessions(pool, a_user_event(noon))
    event = a_user_event(noon + MINUTE)
    async with pool.acquire() as one:
        session_writer = _session_writer(one)
        await session_writer.begin([event])
        async with one.transaction():
            session_writer.assign([event])
            async with asyncio.timeout(5):
                await in_sessions(pool, a_user_event(noon + 2 * MINUTE))
            await session_writer.flush()

    assert (await sessions(pool))[0]["last_utc"] == noon + 2 * MINUTE


async def test_an_end_is_kept(pool: asyncpg.Pool) -> None:
    """Later events begin another session, also in the next transaction."""
    noon = today()
    await in_sessions(pool, a_user_event(noon), a_user_event(noon + MINUTE, type="sessionend"))
    await in_sessions(pool, a_user_event(noon + 2 * MINUTE))

    assert [row["closed_utc"] for row in await sessions(pool)] == [noon + MINUTE, None]


async def test_a_start_event_is_updated_when_it_is_due(pool: asyncpg.Pool) -> None:
    """Not with each event, because every update rewrites the whole row."""
    await _partition(pool)
    noon = today()
    await _insert(pool, await in_sessions(pool, a_user_event(noon)))
    await in_sessions(pool, a_user_event(noon + 90 * timedelta(seconds=1), type="error"))
    early = await update_start_events(pool, 10)
    await make_older(pool, MINUTE)

    assert (early, await update_start_events(pool, 10)) == (0, 1)
    value, data = await _start(pool)
    assert (value, data["haserror"], "sessionend" in data) == (Decimal(90), True, False)
    assert await update_start_events(pool, 10) == 0


async def test_the_start_event_of_a_closed_session_is_due_immediately(pool: asyncpg.Pool) -> None:
    """People are waiting to see it."""
    await _partition(pool)
    noon = today()
    result = await in_sessions(pool, a_user_event(noon), a_user_event(noon + MINUTE, type="sessionend"))
    await _insert(pool, result)

    assert await update_start_events(pool, 10) == 1
    value, data = await _start(pool)
    assert (value, datetime.fromisoformat(str(data["sessionend"]))) == (Decimal(60), noon + MINUTE)


async def test_a_silent_session_ends_and_its_next_event_opens_it_again(pool: asyncpg.Pool) -> None:
    """Silence is measured by our clock, sessions by the client's dates: they survive an outage of ours."""
    await _partition(pool)
    noon = today()
    await _insert(pool, await in_sessions(pool, a_user_event(noon)))
    await make_older(pool, SILENCE)
    ended_at = await update_start_events(pool, 10), await _start(pool)
    await in_sessions(pool, a_user_event(noon + 10 * MINUTE))
    await make_older(pool, MINUTE)

    assert ended_at[0] == 1
    assert "sessionend" in ended_at[1][1]
    assert await update_start_events(pool, 10) == 1
    value, data = await _start(pool)
    assert (value, "sessionend" in data) == (Decimal(600), False)
    assert len(await sessions(pool)) == 1


async def test_a_session_that_goes_on_is_due_again_when_it_may_be_silent(pool: asyncpg.Pool) -> None:
    """The job looks again when it would have ended without further events."""
    noon = today()
    await in_sessions(pool, a_user_event(noon))
    await make_older(pool, MINUTE)
    await update_start_events(pool, 10)
    [session] = await sessions(pool)
    due_in = session["due_utc"] - session["heard_utc"]
    await make_older(pool, SILENCE)
    await update_start_events(pool, 10)

    assert due_in == SILENCE
    [session] = await sessions(pool)
    assert (session["is_idle"], session["due_utc"]) == (True, None)


async def test_sessions_are_shared_by_several_workers(pool: asyncpg.Pool) -> None:
    """Each takes sessions that no other one holds."""
    noon = today()
    await in_sessions(pool, *(a_user_event(noon, f"user {number}") for number in range(30)))
    await make_older(pool, MINUTE)

    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(update_start_events(pool, 10)) for _ in range(3)]

    assert sum(run.result() for run in runs) + await update_start_events(pool, 100) == 30


async def test_deleting_old_sessions_skips_locked_ones(pool: asyncpg.Pool) -> None:
    """A transaction that writes activity locks many sessions: waiting for it could deadlock."""
    accepted = days_ago(3)
    events = [a_user_event(today(), user, accepted=accepted) for user in ("jane", "john")]
    await in_sessions(pool, *events)
    await make_older(pool, timedelta(days=3))
    async with pool.acquire() as worker, worker.transaction():
        await worker.execute("SELECT FROM sessions LIMIT 1 FOR UPDATE")
        async with asyncio.timeout(5):
            assert await forget_sessions(pool, 2) == 1

    assert await forget_sessions(pool, 2) == 1


async def test_old_sessions_are_deleted(pool: asyncpg.Pool) -> None:
    """Only those without recent activity."""
    await in_sessions(pool, a_user_event(today(), accepted=days_ago(3)))
    await make_older(pool, timedelta(days=3))
    await in_sessions(pool, a_user_event(today(), "john", accepted=days_ago(3)))

    assert await forget_sessions(pool, 2) == 1
    assert len(await sessions(pool)) == 1


def _beat(user: str = "jane", beaten: datetime | None = None, closed: datetime | None = None) -> Beat:
    ms = [0 if moment is None else round(moment.timestamp() * 1000) for moment in (beaten, closed)]
    return Beat(PROJECT.bytes, digest_of_key(user), *ms)


async def test_heartbeats_keep_a_session_alive(pool: asyncpg.Pool) -> None:
    """Heartbeats without a session are not in the result."""
    noon = today()
    await in_sessions(pool, a_user_event(noon))
    beat, unknown = _beat(beaten=noon + MINUTE), _beat("john", beaten=noon)

    assert await apply_beats(pool, [unknown, beat]) == {beat}
    assert await apply_beats(pool, [beat]) == {beat}
    assert [row["last_utc"] for row in await sessions(pool)] == [noon + MINUTE]


async def test_a_heartbeat_opens_a_silent_session_again(pool: asyncpg.Pool) -> None:
    """It was alive all the time, but no heartbeat had arrived."""
    noon = today()
    await in_sessions(pool, a_user_event(noon))
    await make_older(pool, SILENCE)
    await update_start_events(pool, 10)

    await apply_beats(pool, [_beat(beaten=noon + MINUTE)])

    [session] = await sessions(pool)
    assert (session["is_idle"], session["due_utc"] is None) == (False, False)


async def test_a_closing_heartbeat_ends_its_session_immediately(pool: asyncpg.Pool) -> None:
    """Its start event is updated in the job's next run."""
    noon = today()
    await in_sessions(pool, a_user_event(noon))

    assert await apply_beats(pool, [_beat(closed=noon + MINUTE)])
    assert await update_start_events(pool, 10) == 1
    assert [row["closed_utc"] for row in await sessions(pool)] == [noon + MINUTE]
