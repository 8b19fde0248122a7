"""Events with sessions, stored in the way of the store, and the rows of their sessions."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from collector.database.sessions.session_writer import SessionWriter
from collector.domain.event.outcome import Event
from collector.domain.event.session_key import session_key
from collector.domain.session.assignment import Assignment
from collector.domain.session.cache import ActiveSessions
from collector.process.clock import SystemClock
from tests.database.rows import PROJECT, an_event


def a_user_event(date: datetime, user: str = "jane", **members: Any) -> Event:
    """An event of a user, accepted just now."""
    data = msgspec.json.encode({"@user": {"identity": user}})
    key = session_key(PROJECT.bytes, members.get("type", "log"), None, None, user)
    values: dict[str, Any] = {"date": date, "data": data, "session_key": key}
    return an_event(**(values | members))


async def in_sessions(pool: asyncpg.Pool, *events: Event, active: ActiveSessions | None = None) -> Assignment:
    """Assign events as a storing transaction does; by default with an empty cache of sessions."""
    async with pool.acquire() as connection:
        session_writer = SessionWriter(connection, active or ActiveSessions(), SystemClock())
        await session_writer.begin(events)
        async with connection.transaction():
            result = session_writer.assign(events)
            await session_writer.flush()
        session_writer.update_cache()
    return result


async def sessions(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    """All sessions, the earliest first."""
    rows: list[asyncpg.Record] = await pool.fetch("SELECT * FROM sessions ORDER BY start_utc, session_id")
    return rows


async def make_older(pool: asyncpg.Pool, by: timedelta) -> None:
    """Let time pass for all sessions; their events' dates stay."""
    await pool.execute(
        "UPDATE sessions SET heard_utc = heard_utc - $1::interval, due_utc = due_utc - $1::interval", by
    )
