"""Dead letters, for operators: listed, shown, replayed and discarded."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

import asyncpg
import msgspec

from collector.admin.naming import resolve_project
from collector.api.core.service import Api
from collector.api.events.dead_letters import LetterView, ShownLetter, letter_view, parse_reason, show_letter
from collector.database.pool import connected
from collector.database.writing.kept_letters import (
    LetterCount,
    LetterSelection,
    count_letters,
    list_letters,
    read_letters,
)
from collector.database.writing.letter_replay import Step
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import parse_time_range
from collector.domain.errors import BadRequest, NotFound
from collector.domain.ids import parse_uuid

_LONGEST_DETAIL: Final = 200


@dataclass(frozen=True, slots=True)
class LetterOptions:
    """Which dead letters; `project` is an id or a name, `time` as in the API."""

    ids: Sequence[str] = ()
    reason: str | None = None
    project: str | None = None
    time: str = ""

    @property
    def is_everything(self) -> bool:
        """Whether nothing narrows the selection."""
        return self == LetterOptions()


async def list_all(api: Api, *, options: LetterOptions, limit: int) -> list[LetterView]:
    """The last accepted dead letters first."""
    async with connected(api.pool) as connection:
        selection = await _selection(api, connection, options)
        return [letter_view(letter) for letter in await list_letters(connection, selection, limit=limit)]


async def show(api: Api, *, letter: str) -> ShownLetter:
    """One dead letter with its content. Raises NotFound."""
    async with connected(api.pool) as connection:
        return await show_letter(connection, letter.replace("-", ""))


async def body(api: Api, *, letter: str) -> bytes:
    """The bytes of one dead letter as they were received. Raises NotFound."""
    async with connected(api.pool) as connection:
        selection = await _selection(api, connection, LetterOptions(ids=[letter]))
        kept = await read_letters(connection, list(selection.ids or ()))
    if not kept:
        raise NotFound("There is no such dead letter.")
    return kept[0].letter.body


async def count(api: Api, *, options: LetterOptions) -> LetterCount:
    """How many match, and how many of them may be replayed."""
    async with connected(api.pool) as connection:
        return await count_letters(connection, await _selection(api, connection, options))


async def change(
    api: Api,
    *,
    options: LetterOptions,
    steps: Callable[[asyncpg.Pool, LetterSelection], AsyncGenerator[Step]],
    progress: Callable[[int], object],
) -> int:
    """Replay or discard the letters in steps, each of which `progress` is called with; returns how many."""
    done = 0
    async with connected(api.pool) as connection:
        selection = await _selection(api, connection, options)
    async with aclosing(steps(api.pool, selection)) as committed:
        async for step in committed:
            done += step.done
            progress(step.done + step.left)
    return done


def row(view: LetterView) -> dict[str, Any]:
    """As it stands in a table."""
    members = msgspec.structs.asdict(view)
    detail = view.detail if len(view.detail) <= _LONGEST_DETAIL else f"{view.detail[:_LONGEST_DETAIL]}…"
    return members | {
        "project": view.project_name or view.project_id or "",
        "accepted": view.accepted_utc.astimezone(UTC),
        "bytes": view.bytes or f"removed ({view.removed_bytes})",
        "detail": detail,
    }


async def _selection(api: Api, connection: asyncpg.Connection, options: LetterOptions) -> LetterSelection:
    ids = [parse_uuid(text.replace("-", "")) for text in options.ids]
    if None in ids:
        raise BadRequest("An id of a dead letter has 32 hexadecimal digits.")
    time = parse_time_range(options.time, LocalClock(api.clock.now()))
    return LetterSelection(
        ids=tuple(id_ for id_ in ids if id_) or None,
        reason=None if options.reason is None else parse_reason(options.reason),
        project_id=None
        if options.project is None
        else (await resolve_project(connection, options.project)).id,
        since=time.begin,
        until=time.end,
    )
