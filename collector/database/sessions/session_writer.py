"""How a transaction's events get their sessions: from what the worker remembers, or else from Postgres.

Sessions that there are not yet are begun before, in a short transaction of their own, so that nobody waits
for anybody's events. A session whose events are not stored in the end does no harm: its events come again,
find it, and store its start.
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

_TOLD_AT_ONCE: Final = 1000


class SessionWriter:
    """One storing transaction's dealings with sessions: `begin` before it, `assigned` and `tell` in it.

    `remember` comes after its commit: a transaction that fails must leave nothing behind. Where nothing is
    `active` there are no sessions.
    """

    def __init__(self, connection: asyncpg.Connection, active: ActiveSessions | None, clock: Clock) -> None:
        self._connection = connection
        self._active = active
        self._now = clock.monotonic()
        self._events: Sequence[Event] = ()
        self._joined = Joined()
        self._late = Assignment()
        self._told: Sequence[Session] = ()

    async def begin(self, events: Sequence[Event]) -> None:
        """Find the sessions of these events and begin those that are not there, outside of a transaction."""
        self._events = events
        if self._active is None:
            self._joined = Joined(list(events))
            return
        self._joined = self._active.join(events, self._now)
        if late := self._joined.misses:
            of_late = [event for event in events if event.session_key in late]
            self._late = await self._settled(of_late, self._active)

    def assigned(self, events: Sequence[Event]) -> Assignment:
        """What becomes of these events, which are all of those that sessions were found for, or some."""
        joined, late = self._joined, self._late
        if len(events) < len(self._events):
            by_id = {event.id: event for event in joined.events}
            joined.events = [by_id[event.id] for event in events]
            of_late = [event for event in joined.events if event.session_key in joined.misses]
            self._late = late = assign(of_late, late.by_key)
        if not joined.misses:
            return Assignment(joined.events)
        members = {event.id: event for event in late.events}
        late.events = [
            members.get(event.id, event)
            for event in joined.events
            if event.session_key not in joined.misses or event.id in members
        ]
        return late

    async def tell(self) -> None:
        """Tell sessions of activity; among the transaction's last statements."""
        if self._active is not None:
            self._told = self._active.overdue(self._joined.latest)
        await flush_sessions(self._connection, [*self._late.touched, *self._told])

    def remember(self) -> None:
        """What is committed now."""
        if self._active is not None:
            self._active.mark_stored(self._joined.latest, self._told)
            self._active.put(self._late.by_key, self._now)

    async def _settled(self, events: Sequence[Event], active: ActiveSessions) -> Assignment:
        """What becomes of events whose sessions must be looked for, or begun."""
        dates = dates_by_key(events)
        remembered = active.find(dates)
        known = await self._found({key: dates[key] for key in remembered}, remembered)
        result = assign([event for event in events if event.session_key in remembered], known)
        # Who is not remembered is new as a rule: nobody is looked for twice.
        to_begin = (dates.keys() - remembered.keys()) | {session.key for session in result.new}
        if not to_begin:
            return result
        async with self._connection.transaction():
            await hold_keys(self._connection, to_begin)
            # Another one may have begun them before we held their keys.
            known |= await self._found({key: dates[key] for key in to_begin}, remembered)
            result = assign(events, known)
            await begin_sessions(self._connection, result.new)
        return result

    async def _found(
        self, dates: Dates, remembered: Mapping[SessionKey, Session]
    ) -> dict[SessionKey, list[Session]]:
        """As their rows have them, with what these were not told of."""
        found = await find_sessions(self._connection, dates)
        for key, session in remembered.items():
            for row in found.get(key, ()):
                if row.start_event_id == session.start_event_id:
                    row.last_utc = max(row.last_utc, session.last_utc)
        return found


async def flush_activity(pool: asyncpg.Pool, active: ActiveSessions) -> None:
    """Tell sessions what their rows were not told of; what fails is told the next time."""
    dirty = active.take_dirty()
    try:
        while dirty:
            some = [(each, replace(each.session)) for each in dirty[-_TOLD_AT_ONCE:]]
            async with connected(pool) as connection, connection.transaction():
                await flush_sessions(connection, [session for _, session in some])
            for each, session in some:
                each.flushed_utc = max(each.flushed_utc, session.last_utc)
            del dirty[-_TOLD_AT_ONCE:]
    finally:
        active.requeue(dirty)
