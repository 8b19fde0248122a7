"""Everything that a list selects, beyond one page: as CSV or NDJSON, streamed while it is read.

Asked for by `Accept`, or by `format` where a link cannot set headers. Each search of an export takes a search
slot of its own, so that an export of millions delays no search; the events found are then loaded a few at a
time, for a single one can be large. What cannot be finished ends without the last chunk: the client sees
that the file is cut off.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import orjson
from aiohttp import hdrs, web

from collector.api.auth.searching import looking_up, searching
from collector.api.events.event_selection import select_projects
from collector.api.events.events import date_view, event_view
from collector.database.errors import DatabaseUnavailable, QueryTooSlow
from collector.database.search.event_lists import FoundEvent, Selection, find_events
from collector.database.search.events import EVENTS_PER_READ, EventKey, StoredEvent, find_events_by_key
from collector.domain.errors import BadRequest, Unavailable
from collector.domain.filter.sorting import Cursor, Order
from collector.http.operation import Parameter

CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
FORMAT: Final = Parameter(
    "format",
    "`csv` or `ndjson` exports everything that matches, beyond one page; so does `Accept: text/csv` or"
    " `application/x-ndjson`.",
)

_FORMATS: Final = {"json": None, "csv": CSV, "ndjson": NDJSON}
_EVENTS_AT_ONCE: Final = 200
"""Found by one search."""
_TRIES: Final = 5
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run a cell that begins like this."""
_COLUMNS: Final = (
    "date",
    "type",
    "level",
    "source",
    "message",
    "user",
    "version",
    "tags",
    "value",
    "count",
    "reference_id",
    "id",
    "stack_id",
    "project_id",
    "created_utc",
)
Result = TypeVar("Result")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def export_type(request: web.Request, parameters: Mapping[str, str]) -> str | None:
    """The media type of the export that is asked for; None for an ordinary list. Raises BadRequest."""
    if text := parameters.get("format", "").strip().lower():
        if text not in _FORMATS:
            raise BadRequest(f"The parameter `format` must be one of {', '.join(_FORMATS)}.")
        return _FORMATS[text]
    accepted = {
        part.partition(";")[0].strip().lower() for part in request.headers.get(hdrs.ACCEPT, "").split(",")
    }
    if "application/json" in accepted:  # an export is for clients that ask for nothing else
        return None
    return next((kind for kind in (CSV, NDJSON) if kind in accepted), None)


async def export_events(
    request: web.Request, selection: Selection, order: Order, media_type: str
) -> web.StreamResponse:
    """Stream the events of the selection in this order."""
    parts = _parts(request, selection, order)
    # Before the response begins, so that whatever is wrong with the request is answered as an error.
    first: list[StoredEvent] = await anext(parts, [])
    name = "events.csv" if media_type == CSV else "events.ndjson"
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: f"{media_type}; charset=utf-8",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    if media_type == CSV:
        await response.write(_csv_lines([_COLUMNS]))
    await response.write(_lines(first, media_type))
    async for part in parts:
        await response.write(_lines(part, media_type))
    return response


async def _parts(
    request: web.Request, selection: Selection, order: Order
) -> AsyncIterator[list[StoredEvent]]:
    """The events in order, a few at a time."""
    after: Cursor | None = None

    async def find() -> tuple[Selection, Sequence[FoundEvent]]:
        async with searching(request) as connection:
            chosen = selection
            if not chosen.project_ids:
                chosen = await select_projects(request, connection, chosen)
            return chosen, await find_events(connection, chosen, order, limit=_EVENTS_AT_ONCE, after=after)

    async def load(keys: Sequence[FoundEvent]) -> list[StoredEvent]:
        async with looking_up(request) as connection:
            stored = await find_events_by_key(connection, [EventKey(key.project_id, key.id) for key in keys])
        by_id = {event.id: event for event in stored}
        return [by_id[key.id] for key in keys if key.id in by_id]  # the others were deleted meanwhile

    while True:
        # An export that has begun waits longer for its turn; one that has not is answered 503.
        selection, found = await (find() if after is None else _patiently(find))
        for start in range(0, len(found), EVENTS_PER_READ):
            yield await _patiently(partial(load, found[start : start + EVENTS_PER_READ]))
        if len(found) < _EVENTS_AT_ONCE:
            return
        after = found[-1].cursor


async def _patiently(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do the work, again after a pause while searches are refused or take too long."""
    for tries in range(1, _TRIES):
        try:
            return await work()
        except (QueryTooSlow, DatabaseUnavailable, Unavailable):
            await asyncio.sleep(tries)
    return await work()


def _lines(events: Sequence[StoredEvent], media_type: str) -> bytes:
    if media_type == CSV:
        return _csv_lines([_row(event) for event in events])
    return b"".join(orjson.dumps(event_view(event), option=orjson.OPT_UTC_Z) + b"\n" for event in events)


def _csv_lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue().encode("utf-8", "replace")


def _row(event: StoredEvent) -> Sequence[Any]:
    try:
        data = _decode(event.data or b"{}")
    except msgspec.ValidationError:  # rows that something else inserted may contain any JSON
        data = {}
    user = data.get("@user")
    return (
        date_view(event),
        event.type,
        data.get("@level"),
        event.source,
        event.message,
        user.get("identity") if isinstance(user, dict) else None,
        data.get("@version"),
        ", ".join(event.tags or ()),
        event.value,
        event.count,
        event.reference_id,
        event.id.hex,
        event.stack_id.hex if event.stack_id else None,
        event.project_id.hex,
        event.created_utc,
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
