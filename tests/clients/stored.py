"""How an event is stored: as its client wrote it, except for the changes that the contract names."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import aiohttp

from tests.support.waiting import until

ASSIGNED: Final = {"id", "organization_id", "project_id", "stack_id", "is_first_occurrence", "created_utc"}
"""What the collector gives to every event."""

_STORED_SECONDS: Final = 30
_READERS: Final = 10
_SESSION_ID: Final = re.compile("[0-9a-f]{32}")
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def new_reference_id() -> str:
    """A reference id that no other event has."""
    return secrets.token_hex(8)


class Reader:
    """Reads events back over the API."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def event(self, reference_id: str) -> dict[str, Any]:
        """The one event with this reference id, once it is stored."""
        return await self.event_with(reference_id, lambda _: True)

    async def event_with(self, reference_id: str, has: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        """The one event with this reference id, once its data is as it is to be."""
        found: list[dict[str, Any]] = []

        async def is_complete() -> bool:
            found[:] = await self.found(reference_id)
            return bool(found) and has(found[0]["data"])

        await until(is_complete, _STORED_SECONDS, f"the event {reference_id}")
        [event] = found
        return event

    async def events(self, reference_ids: Iterable[str]) -> list[dict[str, Any]]:
        """Many events, a few at a time."""
        slots = asyncio.Semaphore(_READERS)

        async def one(reference_id: str) -> dict[str, Any]:
            async with slots:
                return await self.event(reference_id)

        return await asyncio.gather(*map(one, reference_ids))

    async def only(self, query: str) -> dict[str, Any]:
        """The one event that a filter selects, once it is stored."""
        found: list[dict[str, Any]] = []

        async def is_there() -> bool:
            async with self._session.get("/api/v2/events", params={"filter": query}) as response:
                assert response.status == 200
                found[:] = await response.json()
            return bool(found)

        await until(is_there, _STORED_SECONDS, f"an event of {query}")
        [event] = found
        return event

    async def found(self, reference_id: str) -> list[dict[str, Any]]:
        """The events with this reference id now."""
        async with self._session.get(f"/api/v2/events/by-ref/{reference_id}") as response:
            assert response.status == 200
            events: list[dict[str, Any]] = await response.json()
            return events


def written(event: Mapping[str, Any]) -> dict[str, Any]:
    """A stored event without the members that the collector adds, all of which must be present."""
    assert event.keys() >= ASSIGNED
    return {name: value for name, value in event.items() if name not in ASSIGNED}


def session_in(event: Mapping[str, Any]) -> dict[str, str]:
    """The session of a user's event, as the reference id of that session's start."""
    session_id = event["data"]["@ref:session"]
    assert _SESSION_ID.fullmatch(session_id)
    return {"@ref:session": session_id}


def as_stored(
    sent: Mapping[str, Any], client: Mapping[str, str], added: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """How a sent event must be stored; `added` is what the rules add to its data."""
    event = {name: _storable(value) for name, value in sent.items() if value is not None}
    event["date"] = datetime.fromisoformat(event["date"]).isoformat()
    event["tags"] = _once_each(event.get("tags", ()))
    event["data"] = {**event.get("data", {}), **(added or {}), "@submission_client": dict(client)}
    return event


def _once_each(tags: Sequence[str]) -> list[str]:
    """Tags are a case-insensitive set; the first of equal ones stays."""
    kept: dict[str, str] = {}
    for tag in tags:
        kept.setdefault(tag.casefold(), tag)
    return list(kept.values())


def _storable(value: Any) -> Any:
    """Replace NUL and lone surrogates, which cannot be stored, with U+FFFD."""
    match value:
        case str():
            return _UNSTORABLE.sub("�", value)
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_storable(name): _storable(item) for name, item in value.items()}
    return value
