"""Events and stacks, for operators: listed, followed as they are stored, or traced by a reference id."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from collector.admin.naming import resolve_project
from collector.api.core.service import Api
from collector.api.events.events import event_view
from collector.api.events.stacks import StackView, stack_view
from collector.api.events.trace import check_reference
from collector.api.events.trace import trace as traced
from collector.api.events.trace_view import TraceView
from collector.broker.errors import BrokerUnavailable
from collector.database.errors import DatabaseUnavailable
from collector.database.pool import connected
from collector.database.search.event_lists import FoundEvent, Selection, find_events
from collector.database.search.events import EventKey, StoredEvent, find_events_by_key
from collector.database.search.stack_lists import StackOrder, list_stacks
from collector.database.search.traces import projects_to_trace
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import parse_time_range
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.sorting import Cursor, parse_order
from collector.domain.ids import lowest_id
from collector.process.lifecycle import Stop

_LONGEST_TEXT: Final = 200
"""Characters of a message or title in a table."""
_FETCH: Final = 10
"""Events fetched together: each may be large."""
_PAGE: Final = 1000
_MOST_SEEN: Final = 100_000
"""Ids of events that were shown: about 10 MB."""
_ROUND_SECONDS: Final = 1.0
_CLOCKS_APART: Final = timedelta(seconds=10)
_QUEUE_UNKNOWN: Final = timedelta(minutes=1)
_OLDEST_FIRST: Final = parse_order("created")
_LAST_ID: Final = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What to list; `project` is an id or a name, `filter` and `time` are as in the API."""

    filter: str = ""
    project: str | None = None
    time: str = ""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """An event, and the name of its project."""

    event: StoredEvent
    project_name: str

    @property
    def view(self) -> dict[str, Any]:
        """As the API shows it."""
        return event_view(self.event)

    @property
    def row(self) -> dict[str, Any]:
        """As it stands in a table."""
        event = self.event
        text = event.message or event.source or ""
        return {
            "date": event.date,
            "project": self.project_name,
            "type": event.type,
            "message": text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…",
            "reference_id": event.reference_id,
            "id": event.id.hex,
        }


@dataclass(frozen=True, slots=True)
class ListedStack:
    """A stack, as the API shows it, with the name of its project."""

    view: StackView
    project_name: str

    @property
    def row(self) -> dict[str, Any]:
        """As it stands in a table."""
        view = self.view
        return {
            "last_occurrence": view.last_occurrence,
            "project": self.project_name,
            "type": view.type,
            "status": view.status.value,
            "total": view.total_occurrences,
            "title": view.title if len(view.title) <= _LONGEST_TEXT else f"{view.title[:_LONGEST_TEXT]}…",
            "id": view.id,
        }


async def newest(api: Api, options: ListOptions) -> AsyncGenerator[Listed]:
    """The newest events, newest first."""
    async with connected(api.pool) as connection:
        selection, names = await _selection(api, connection, options)
        found = await find_events(connection, selection, limit=options.limit)
        async for listed in _fetch(connection, found, names):
            yield listed


async def followed(api: Api, options: ListOptions, stop: Stop) -> AsyncGenerator[Listed]:
    """The newest events, oldest first, then further ones as they are stored, until `stop` is requested.

    An event that is not stored yet waits in the queue. So each round looks only at events accepted since the
    oldest post that was waiting before the previous round.
    """
    seen, begin = Seen(), await _oldest_waiting(api)
    async with connected(api.pool) as connection:
        selection, names = await _selection(api, connection, options)
        async for found in _accepted_since(connection, selection, begin):
            seen.add(each.id for each in found)
        found = await find_events(connection, selection, limit=options.limit)
        seen.add(each.id for each in found)
        async for listed in _fetch(connection, found[::-1], names):
            yield listed
    while not await stop.sleep(_ROUND_SECONDS):
        next_begin = await _oldest_waiting(api)
        try:
            async with connected(api.pool) as connection:
                selection, names = await _selection(api, connection, options)
                async for found in _accepted_since(connection, selection, begin):
                    async for listed in _fetch(connection, seen.unseen(found), names):
                        seen.add([listed.event.id])
                        yield listed
        except DatabaseUnavailable:
            continue  # the next round repeats this one
        begin = next_begin
        seen.forget_before(lowest_id(begin))


async def stacks(api: Api, options: ListOptions) -> list[ListedStack]:
    """The stacks with the latest occurrences."""
    async with connected(api.pool) as connection:
        selection, names = await _selection(api, connection, options)
        found = await list_stacks(
            connection, selection, StackOrder.LAST_DESCENDING, limit=options.limit, offset=0
        )
    return [ListedStack(stack_view(stack), names.get(stack.project_id, "")) for stack in found]


async def trace(api: Api, reference: str, project: str | None) -> TraceView:
    """What is known about the reference id, in one project (by id or name) or in all."""
    check_reference(reference)
    async with connected(api.pool) as connection:
        project_id = None if project is None else (await resolve_project(connection, project)).id
        return await traced(api, connection, reference, project_id)


class Seen:
    """The ids of events already shown; beyond `_MOST_SEEN` the older half is dropped and counts as shown."""

    def __init__(self) -> None:
        self._ids: set[UUID] = set()
        self._floor = UUID(int=0)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Iterable[UUID]) -> None:
        """Mark these events as shown."""
        self._ids.update(ids)
        if len(self._ids) > _MOST_SEEN:
            self.forget_before(sorted(self._ids)[len(self._ids) // 2])

    def unseen(self, found: Sequence[FoundEvent]) -> list[FoundEvent]:
        """The events that were not shown yet."""
        return [each for each in found if each.id >= self._floor and each.id not in self._ids]

    def forget_before(self, event_id: UUID) -> None:
        """Treat every event before this id as shown, and drop the ids."""
        self._floor = max(self._floor, event_id)
        self._ids = {each for each in self._ids if each >= self._floor}


async def _selection(
    api: Api, connection: asyncpg.Connection, options: ListOptions
) -> tuple[Selection, dict[UUID, str]]:
    """The selection for the options, and the names of its projects."""
    names = await projects_to_trace(connection)
    if options.project is not None:
        project = await resolve_project(connection, options.project)
        names = {project.id: project.name}
    clock = LocalClock(api.clock.now(), timedelta())
    time = parse_time_range(options.time, clock)
    return Selection(list(names), parse_filter(options.filter), time, clock), names


async def _accepted_since(
    connection: asyncpg.Connection, selection: Selection, begin: datetime
) -> AsyncIterator[list[FoundEvent]]:
    """The selection's events accepted since `begin`, oldest first, a page at a time."""
    after = Cursor((begin,), UUID(int=0))
    selection = replace(selection, ids=(lowest_id(begin), _LAST_ID))
    while True:
        found = await find_events(connection, selection, _OLDEST_FIRST, limit=_PAGE, after=after)
        yield found
        if len(found) < _PAGE:
            return
        after = found[-1].cursor


async def _fetch(
    connection: asyncpg.Connection, found: Sequence[FoundEvent], names: Mapping[UUID, str]
) -> AsyncGenerator[Listed]:
    """The events in this order, without those deleted meanwhile."""
    for begin in range(0, len(found), _FETCH):
        keys = [EventKey(each.project_id, each.id) for each in found[begin : begin + _FETCH]]
        events = {event.id: event for event in await find_events_by_key(connection, keys)}
        for key in keys:
            if key.id in events:
                yield Listed(events[key.id], names.get(key.project_id, ""))


async def _oldest_waiting(api: Api) -> datetime:
    """When the oldest post in the queue was accepted, or now; minus some seconds, as clocks differ."""
    moment = api.clock.now()
    try:
        moment = min([moment, *await api.queue_look.oldest()])
    except BrokerUnavailable:
        moment -= _QUEUE_UNKNOWN
    return moment - _CLOCKS_APART
