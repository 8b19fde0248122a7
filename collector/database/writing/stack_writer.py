"""The stacks of the events that one transaction stores: unknown ones are written first, totals last.

The insert's answer says who met a stack first, so exactly one stored event is its first occurrence. Inserts
and totals are both in the order of the ids, and between them nothing waits for a stack: transactions wait for
each other's stacks never in a circle.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from collector.database.chunks import slices
from collector.database.errors import DatabaseUnavailable
from collector.database.text import storable
from collector.domain.event.outcome import Event
from collector.domain.event.stack import stack_title
from collector.domain.version import is_older

_CRITICAL: Final = "Critical"
_stack_id: Final = attrgetter("stack.id")
_date: Final = attrgetter("date")
_id: Final = attrgetter("id")


class StackWriter:
    """One transaction's dealings with stacks: `begin` before its events are written, `end` after."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.discarded: list[Event] = []
        self._connection = connection
        self._first_events: dict[bytes, bytes] = {}
        self._fixed_in: dict[bytes, str] = {}

    async def begin(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events to be stored, first occurrences and critical ones marked.

        Those of discarded stacks are in `discarded`.
        """
        stack_ids = set(map(_stack_id, events))
        if not stack_ids:
            return events
        known = await self._known(stack_ids)
        events = _with_critical(self._without_discarded(events, known), known)
        self._fixed_in = {id_: row["fixed_in"] for id_, row in known.items() if row["fixed_in"] is not None}
        unknown = stack_ids - known.keys()
        return await self._with_new(events, unknown) if unknown else events

    async def end(self, events: Sequence[Event], lost: Collection[bytes]) -> None:
        """Count what was stored: all but the `lost`, which are ids of events. Among the last statements.

        Raises DatabaseUnavailable where a stack was deleted meanwhile: repeated, it is made anew.
        """
        stored = [event for event in events if event.id not in lost] if lost else events
        by_stack: defaultdict[bytes, list[Event]] = defaultdict(list)
        for event in stored:
            by_stack[event.stack.id].append(event)
        if lost and self._first_events:
            await self._mend_first_occurrences(by_stack, lost)
        if by_stack:
            await self._add_totals([self._total(id_, by_stack[id_]) for id_ in sorted(by_stack)])

    async def _known(self, stack_ids: Iterable[bytes]) -> Mapping[bytes, asyncpg.Record]:
        """Which of the stacks there are. Asking costs less than remembering them would save."""
        rows = await self._connection.fetch(_KNOWN, [UUID(bytes=id_) for id_ in stack_ids])
        return {row["id"].bytes: row for row in rows}

    def _without_discarded(
        self, events: Sequence[Event], known: Mapping[bytes, asyncpg.Record]
    ) -> Sequence[Event]:
        ids = {id_ for id_, row in known.items() if row["is_discarded"]}
        if not ids:
            return events
        self.discarded = [event for event in events if event.stack.id in ids]
        return [event for event in events if event.stack.id not in ids]

    async def _with_new(self, events: Sequence[Event], unknown: Collection[bytes]) -> Sequence[Event]:
        """Write the unknown stacks. One that another transaction writes now has its first event there."""
        firsts: dict[bytes, Event] = {}
        for event in sorted((event for event in events if event.stack.id in unknown), key=_id):
            firsts.setdefault(event.stack.id, event)
        added: set[bytes] = set()
        for some in slices(sorted(firsts)):
            rows = msgspec.json.encode([_row(firsts[id_]) for id_ in some])
            added.update(row["id"].bytes for row in await self._connection.fetch(_ADD, rows))
        self._first_events = {id_: firsts[id_].id for id_ in added}
        marked = set(self._first_events.values())
        return [
            msgspec.structs.replace(event, is_first_occurrence=True) if event.id in marked else event
            for event in events
        ]

    async def _mend_first_occurrences(
        self, stored: Mapping[bytes, Sequence[Event]], lost: Collection[bytes]
    ) -> None:
        """Where a new stack's first event was not stored, its next one is the first; without any it goes."""
        orphans = {id_ for id_, event_id in self._first_events.items() if event_id in lost}
        if empty := sorted(orphans - stored.keys()):
            await self._connection.execute(
                "DELETE FROM stacks WHERE id = ANY($1)", [UUID(bytes=id_) for id_ in empty]
            )
        nexts = [min(stored[id_], key=_id) for id_ in orphans & stored.keys()]
        await self._connection.executemany(
            "UPDATE events SET is_first_occurrence = true WHERE project_id = $1 AND id = $2",
            [(UUID(bytes=event.project_id), UUID(bytes=event.id)) for event in nexts],
        )

    async def _add_totals(self, totals: Sequence["_Total"]) -> None:
        for some in slices(totals):
            columns = (list(column) for column in zip(*some, strict=True))
            status = await self._connection.execute(_ADD_TOTALS, *columns)
            if status != f"UPDATE {len(some)}":
                raise DatabaseUnavailable("A stack was deleted in between; it is made again.")

    def _total(self, stack_id: bytes, events: Sequence[Event]) -> "_Total":
        fixed_in = self._fixed_in.get(stack_id)
        return _Total(
            UUID(bytes=stack_id),
            sum([event.count or 1 for event in events]),
            min(map(_date, events)),
            max(map(_date, events)),
            fixed_in is not None and any(not is_older(_version(event), fixed_in) for event in events),
        )


def _with_critical(events: Sequence[Event], known: Mapping[bytes, asyncpg.Record]) -> Sequence[Event]:
    """The events with the tag for it where their stack is marked as critical."""
    ids = {id_ for id_, row in known.items() if row["is_critical"]}
    return [_critical(event) if event.stack.id in ids else event for event in events] if ids else events


def _critical(event: Event) -> Event:
    """No two tags of an event differ in case only."""
    if any(tag.lower() == _CRITICAL.lower() for tag in event.tags):
        return event
    return msgspec.structs.replace(event, tags=(*event.tags, _CRITICAL))


class _Total(NamedTuple):
    """What a transaction adds to a stack; `is_back` says that an event is of the version that mended it."""

    stack_id: UUID
    occurrences: int
    first: datetime
    last: datetime
    is_back: bool


class _Versioned(msgspec.Struct):
    """The member of `data` that says of which version of the application an event is."""

    version: str | None = msgspec.field(name="@version", default=None)


_decode_version = msgspec.json.Decoder(_Versioned).decode


def _version(event: Event) -> str | None:
    try:
        return _decode_version(event.data or b"{}").version
    except msgspec.DecodeError:
        return None


def _row(event: Event) -> dict[str, Any]:
    """The stack as its first event makes it. One text that Postgres refused would hold up all the others."""
    stack = event.stack
    return {
        "id": UUID(bytes=stack.id),
        "project_id": UUID(bytes=event.project_id),
        "organization_id": UUID(bytes=event.organization_id),
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
"""The total ends where readers of JSON can no longer tell one number from the next."""
