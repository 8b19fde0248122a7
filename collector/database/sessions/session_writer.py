"""Assigns a transaction's events to sessions: to those in the worker's cache, or else to those in Postgres.

New sessions are inserted before, in a short transaction of their own, so that workers never wait for each
other's events. A session whose events are not stored in the end does no harm: when they are retried they find
it and store its start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import asyncpg

from collector.database.pool import connected
from collector.database.sessions.sessions import (
    Dates,
    begin_sessions,
    find_sessions,
    flush_sessions,
    hold_keys,
)
from collector.domain.event.outcome import Event
from collector.domain.event.session_key import SessionKey
from collector.domain.session.assignment import Assignment, assign, dates_by_key
from collector.domain.session.cache import ActiveSessions, Joined
from collector.domain.session.session import Session
from collector.process.clock import Clock

_FLUSH_CHUNK: Final = 1000


class SessionWriter:
    """The sessions of one storing transaction: call `begin` before it, `assign` and `flush` inside it.

    Call `update_cache` only after its commit: a transaction that fails must not change the cache. Without an
    `active` cache the installation has no sessions.
    """

    def __init__(self, connection: asyncpg.Connection, active: ActiveSessions | None, clock: Clock) -> None:
        self._connection = connection
        self._active = active
        self._now = clock.monotonic()
        self._events: Sequence[Event] = ()
        self._joined = Joined()
        self._uncached = Assignment()
        self._flushed: Sequence[Session] = ()

    async def begin(self, events: Sequence[Event]) -> None:
        """Find the sessions of these events and insert missing ones. Outside of a transaction."""
        self._events = events
        if self._active is None:
            self._joined = Joined(list(events))
            return
        self._joined = self._active.join(events, self._now)
        if misses := self._joined.misses:
            missed = [event for event in events if event.session_key in misses]
            self._uncached = await self._assign_misses(missed, self._active)

    def assign(self, events: Sequence[Event]) -> Assignment:
        """Assign these events, which are all or some of those that `begin` was called with."""
        joined, uncached = self._joined, self._uncached
        if len(events) < len(self._events):  # the others belong to replayed batches
            by_id = {event.id: event for event in joined.events}
            joined.events = [by_id[event.id] for event in events]
            missed = [event for event in joined.events if event.session_key in joined.misses]
            self._uncached = uncached = assign(missed, uncached.by_key)
        if not joined.misses:
            return Assignment(joined.events)
        members = {event.id: event for event in uncached.events}
        uncached.events = [
            members.get(event.id, event)
            for event in joined.events
            if event.session_key not in joined.misses or event.id in members
        ]
        return uncached

    async def flush(self) -> None:
        """Write the sessions' activity; belongs to the transaction's last statements."""
        if self._active is not None:
            self._flushed = self._active.overdue(self._joined.latest)
        await flush_sessions(self._connection, [*self._uncached.touched, *self._flushed])

    def update_cache(self) -> None:
        """Update the cache with what is committed now."""
        if self._active is not None:
            self._active.mark_stored(self._joined.latest, self._flushed)
            self._active.put(self._uncached.by_key, self._now)

    async def _assign_misses(self, events: Sequence[Event], active: ActiveSessions) -> Assignment:
        """Assign events whose sessions the cache cannot answer for: find or insert these in Postgres."""
        dates = dates_by_key(events)
        cached = active.find(dates)
        # Sessions of keys in the cache exist: most need no lock.
        known = await self._find({key: dates[key] for key in cached}, cached)
        result = assign([event for event in events if event.session_key in cached], known)
        # A key that is not in the cache is usually new, so it is looked up only once, under its lock.
        to_begin = (dates.keys() - cached.keys()) | {session.key for session in result.new}
        if not to_begin:
            return result
        async with self._connection.transaction():
            await hold_keys(self._connection, to_begin)
            # Another worker may have inserted them before we got the locks.
            known |= await self._find({key: dates[key] for key in to_begin}, cached)
            result = assign(events, known)
            await begin_sessions(self._connection, result.new)
        return result

    async def _find(
        self, dates: Dates, cached: Mapping[SessionKey, Session]
    ) -> dict[SessionKey, list[Session]]:
        """The sessions' rows, updated with the activity that is only in the cache."""
        found = await find_sessions(self._connection, dates)
        for key, session in cached.items():
            for row in found.get(key, ()):
                if row.start_event_id == session.start_event_id:
                    row.last_utc = max(row.last_utc, session.last_utc)
        return found


async def flush_activity(pool: asyncpg.Pool, active: ActiveSessions) -> None:
    """Write the activity that sessions' rows lack so far; what fails stays dirty for the next time."""
    dirty = active.take_dirty()
    try:
        while dirty:
            chunk = [(each, replace(each.session)) for each in dirty[-_FLUSH_CHUNK:]]
            async with connected(pool) as connection, connection.transaction():
                await flush_sessions(connection, [session for _, session in chunk])
            for each, session in chunk:
                each.flushed_utc = max(each.flushed_utc, session.last_utc)
            del dirty[-_FLUSH_CHUNK:]
    finally:
        active.requeue(dirty)
