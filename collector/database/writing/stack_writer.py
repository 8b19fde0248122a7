"""Writes the stacks of one transaction's events: new stacks first, totals last.

The insert returns the stacks that this transaction made, so exactly one stored event is the first occurrence
of each stack. Inserts and totals both go in the order of the ids, and nothing in between waits for a stack:
concurrent transactions cannot deadlock over stacks.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from asyncpg.pgproto.pgproto import UUID

from collector.database.chunks import chunked
from collector.database.errors import DatabaseUnavailable
from collector.database.text import storable
from collector.database.writing.rollup_writer import StoredOfStack
from collector.domain.event.outcome import Event
from collector.domain.event.stack import stack_title
from collector.domain.version import is_older

_CRITICAL: Final = "Critical"
_stack_id: Final = attrgetter("stack.id")
_id: Final = attrgetter("id")


class StackWriter:
    """The stacks of one transaction: call `begin` before its events are written, `end` after."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.discarded: list[Event] = []
        self._connection = connection
        self._first_events: dict[bytes, bytes] = {}
        self._fixed_in: dict[bytes, str] = {}

    async def begin(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events to store, with first occurrences and critical ones marked.

        Those of discarded stacks are left out and put into `discarded`.
        """
        stack_ids = set(map(_stack_id, events))
        if not stack_ids:
            return events
        # Asking every time costs less than a cache of stacks would save.
        rows = await self._connection.fetch(_KNOWN, [UUID(id_) for id_ in stack_ids])
        known = {row["id"].bytes: row for row in rows}
        # Events of discarded stacks are dropped, those of critical ones tagged; fixed stacks may regress.
        discarded = {id_ for id_, row in known.items() if row["is_discarded"]}
        if discarded:
            self.discarded = [event for event in events if event.stack.id in discarded]
            events = [event for event in events if event.stack.id not in discarded]
        critical = {id_ for id_, row in known.items() if row["is_critical"]}
        if critical:
            events = [_critical(event) if event.stack.id in critical else event for event in events]
        self._fixed_in = {id_: row["fixed_in"] for id_, row in known.items() if row["fixed_in"] is not None}
        unknown = stack_ids - known.keys()
        return await self._with_new(events, unknown) if unknown else events

    async def end(self, events: Sequence[Event], lost: Collection[bytes]) -> list[StoredOfStack]:
        """Add the stored events to their stacks' totals: all but the `lost`, which are ids of events.

        Returns them by stack. Belongs to the transaction's last statements. Raises DatabaseUnavailable if a
        stack was deleted in the meantime: a retry makes it again.
        """
        stored = [event for event in events if event.id not in lost] if lost else events
        by_stack: defaultdict[bytes, list[Event]] = defaultdict(list)
        for event in stored:
            by_stack[event.stack.id].append(event)
        # The first event of a new stack may have been a duplicate, or rejected.
        if lost and self._first_events:
            await self._correct_first_occurrences(by_stack, lost)
        totals: list[_Total] = []
        for id_ in sorted(by_stack):
            of_stack, fixed_in = by_stack[id_], self._fixed_in.get(id_)
            # Where stacks are many, most have a single event.
            if len(of_stack) == 1:
                first = last = of_stack[0].date
                occurrences = of_stack[0].count or 1
            else:
                dates = [event.date for event in of_stack]
                first, last = min(dates), max(dates)
                occurrences = sum([event.count or 1 for event in of_stack])
            is_back = fixed_in is not None and any(
                not is_older(_version(event), fixed_in) for event in of_stack
            )
            totals.append(_Total(UUID(id_), occurrences, first, last, is_back))
        for chunk in chunked(totals):
            columns = (list(column) for column in zip(*chunk, strict=True))
            status = await self._connection.execute(_ADD_TOTALS, *columns)
            if status != f"UPDATE {len(chunk)}":
                raise DatabaseUnavailable(
                    "A stack was deleted in the meantime; the next attempt makes it again."
                )
        new = self._first_events
        return [
            StoredOfStack(by_stack[id_], total.first, total.last, id_ in new)
            for id_, total in zip(sorted(by_stack), totals, strict=True)
        ]

    async def _with_new(self, events: Sequence[Event], unknown: Collection[bytes]) -> Sequence[Event]:
        """Insert the unknown stacks. If a concurrent transaction wins, it also has the first occurrence."""
        # Ids begin with the time of acceptance: the smallest one is the first occurrence.
        firsts: dict[bytes, Event] = {}
        for event in sorted((event for event in events if event.stack.id in unknown), key=_id):
            firsts.setdefault(event.stack.id, event)
        added: set[bytes] = set()
        for ids in chunked(sorted(firsts)):
            rows = msgspec.json.encode([_stack_row(firsts[id_]) for id_ in ids])
            added.update(row["id"].bytes for row in await self._connection.fetch(_ADD, rows))
        self._first_events = {id_: firsts[id_].id for id_ in added}
        marked = set(self._first_events.values())
        return [
            msgspec.structs.replace(event, is_first_occurrence=True) if event.id in marked else event
            for event in events
        ]

    async def _correct_first_occurrences(
        self, stored: dict[bytes, list[Event]], lost: Collection[bytes]
    ) -> None:
        """If a new stack's first event was not stored, mark the next one; delete a stack without events."""
        orphans = {id_ for id_, event_id in self._first_events.items() if event_id in lost}
        if empty := sorted(orphans - stored.keys()):
            await self._connection.execute(
                "DELETE FROM stacks WHERE id = ANY($1)", [UUID(id_) for id_ in empty]
            )
        nexts = [min(stored[id_], key=_id) for id_ in orphans & stored.keys()]
        for event in nexts:
            others = (other for other in stored[event.stack.id] if other is not event)
            stored[event.stack.id] = [msgspec.structs.replace(event, is_first_occurrence=True), *others]
        await self._connection.executemany(
            "UPDATE events SET is_first_occurrence = true WHERE project_id = $1 AND id = $2",
            [(UUID(event.project_id), UUID(event.id)) for event in nexts],
        )


def _critical(event: Event) -> Event:
    """The event with the tag of critical stacks. No two tags of an event may differ in case only."""
    if any(tag.lower() == _CRITICAL.lower() for tag in event.tags):
        return event
    return msgspec.structs.replace(event, tags=(*event.tags, _CRITICAL))


class _Total(NamedTuple):
    """What a transaction adds to a stack; `is_back`: it occurs in a version that should have fixed it."""

    stack_id: UUID
    occurrences: int
    first: datetime
    last: datetime
    is_back: bool


class _Versioned(msgspec.Struct):
    """The member of `data` with the version of the application."""

    version: str | None = msgspec.field(name="@version", default=None)


_decode_version = msgspec.json.Decoder(_Versioned).decode


def _version(event: Event) -> str | None:
    try:
        return _decode_version(event.data or b"{}").version
    except msgspec.DecodeError:
        return None


def _stack_row(event: Event) -> dict[str, Any]:
    """A new stack, from its first event. Its texts are made storable: one bad text would fail the insert."""
    stack = event.stack
    return {
        "id": UUID(stack.id),
        "project_id": UUID(event.project_id),
        "organization_id": UUID(event.organization_id),
        "type": storable(event.type or ""),
        "signature_hash": stack.signature_hash,
        "signature_info": {storable(name): storable(text) for name, text in stack.signature_info.items()},
        "title": storable(stack_title(stack, event.type, event.source, event.message)),
        "tags": [storable(tag) for tag in event.tags],
        "occurrence": event.date,
    }


_KNOWN: Final = """
    SELECT id, status = 'discarded' AS is_discarded, occurrences_are_critical AS is_critical,
        CASE status WHEN 'fixed' THEN fixed_in_version END AS fixed_in
    FROM stacks WHERE id = ANY($1)
"""
_ADD: Final = """
    INSERT INTO stacks (id, project_id, organization_id, type, signature_hash, signature_info, title, tags,
                        first_occurrence, last_occurrence)
    SELECT id, project_id, organization_id, type, signature_hash, signature_info, title, tags,
        occurrence, occurrence
    FROM jsonb_to_recordset($1) AS new (
        id uuid, project_id uuid, organization_id uuid, type text, signature_hash text, signature_info jsonb,
        title text, tags text[], occurrence timestamptz)
    ORDER BY id ON CONFLICT DO NOTHING RETURNING id
"""
_ADD_TOTALS: Final = """
    WITH locked AS MATERIALIZED (
        SELECT id FROM stacks WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE stacks AS s SET
        total_occurrences = least(s.total_occurrences + new.occurrences, 9007199254740991),
        first_occurrence = least(s.first_occurrence, new.first),
        last_occurrence = greatest(s.last_occurrence, new.last),
        status = CASE
            WHEN s.status = 'fixed'
                AND CASE WHEN s.fixed_in_version IS NULL THEN s.date_fixed < new.last ELSE new.is_back END
                THEN 'regressed'
            WHEN s.status = 'snoozed' AND s.snooze_until_utc < new.last THEN 'open'
            ELSE s.status
        END,
        updated_utc = now()
    FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::boolean[])
            AS new (id, occurrences, first, last, is_back)
        JOIN locked USING (id)
    WHERE s.id = new.id
"""
"""Totals stop at 2^53 - 1, the largest integer that every JSON reader takes exactly."""
