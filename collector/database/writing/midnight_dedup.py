"""Finds repeated references across midnight, where the first event and its repeat are in two partitions.

A partition's unique index covers one UTC day only, so the reference of an event accepted near midnight is
also looked up in the partition on the other side. Two concurrent transactions, one on each side, would not
see each other's rows. A table lock serves as a gate: transactions of the same side share it, and those of the
other side wait until they have committed. Far from midnight none of this happens.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.schema.partitions import partition_name
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.event.outcome import Event
from collector.domain.ids import DAY_MS, HOUR_MS, accepted_ms, lowest_id_at_ms

_DAY: Final = timedelta(days=1)
_BEFORE: Final = "SHARE"
_AFTER: Final = "ROW EXCLUSIVE"
_BOTH_SIDES: Final = "SHARE ROW EXCLUSIVE"
"""Lock modes of the gate: the first two each conflict with the other but not with themselves; the third
conflicts with all three."""


class Midnight:
    """Finds repeats across midnight that are up to `window` apart; a window of 0 finds none."""

    def __init__(self, window: timedelta) -> None:
        self._window_ms = window // timedelta(milliseconds=1)

    def is_near(self, moments: Iterable[datetime]) -> bool:
        """Whether an hour (UTC) of any of these moments lies within the window of a midnight."""
        reach = -(-self._window_ms // HOUR_MS)
        return any(moment.hour < reach or moment.hour >= 24 - reach for moment in moments)

    async def pass_gate(self, connection: asyncpg.Connection, events: Iterable[Event]) -> None:
        """Wait for the other side's transactions and keep them out until this one ends. Before any insert."""
        sides = {side for event in events if (side := self._side(event)) is not None}
        if sides:
            mode = _BOTH_SIDES if len(sides) > 1 else sides.pop()
            await connection.execute(f"LOCK TABLE midnight_gate IN {mode} MODE")

    async def repeats(self, connection: asyncpg.Connection, day: date, events: Sequence[Event]) -> set[bytes]:
        """The ids of events of one day whose reference is stored on the other side of a midnight."""
        found: set[bytes] = set()
        for side, beyond in ((_AFTER, day - _DAY), (_BEFORE, day + _DAY)):
            if near := [event for event in events if self._side(event) == side]:
                found |= await self._stored_beyond(connection, partition_name(beyond), near)
        return found

    def _side(self, event: Event) -> str | None:
        """The side of midnight on which it was accepted, as a mode of the gate; None if far from midnight."""
        if event.reference_id is None or event.reference_id == INVALID_REFERENCE_ID:
            return None
        since_midnight = accepted_ms(event.id) % DAY_MS
        if since_midnight < self._window_ms:
            return _AFTER
        return _BEFORE if since_midnight >= DAY_MS - self._window_ms else None

    async def _stored_beyond(
        self, connection: asyncpg.Connection, partition: str, events: Sequence[Event]
    ) -> set[bytes]:
        if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", partition):
            return set()
        times = [accepted_ms(event.id) for event in events]
        rows = await connection.fetch(
            _LOOK_UP.format(partition=partition),
            [UUID(bytes=event.id) for event in events],
            [UUID(bytes=event.project_id) for event in events],
            [event.reference_id for event in events],
            [lowest_id_at_ms(time - self._window_ms) for time in times],
            [lowest_id_at_ms(time + self._window_ms + 1) for time in times],
        )
        return {row["id"].bytes for row in rows}


_LOOK_UP: Final = """
    SELECT new.id
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[])
        AS new (id, project_id, reference_id, first_id, end_id),
    LATERAL (
        SELECT FROM {partition} AS stored
        WHERE stored.project_id = new.project_id AND stored.reference_id = new.reference_id
            AND stored.reference_id <> 'invalid-reference-id'
            AND stored.id >= new.first_id AND stored.id < new.end_id
        LIMIT 1
    ) AS found
"""
"""LIMIT forces one look into the unique index for each event, whatever the planner's statistics say."""
