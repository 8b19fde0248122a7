"""Dead letters for people who manage the server: listed, shown, replayed and discarded.

`GET|DELETE /admin/dead-letters`, `GET /admin/dead-letters/{id}`, `POST /admin/dead-letters/replay`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Meta

from collector.api.auth.authentication import IDENTITY
from collector.api.auth.searching import searching
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.manage.projects import reachable_project
from collector.api.request.lists import LIST_HEADERS, add_link
from collector.api.request.parameters import flag, query_parameters, requested_page
from collector.database.pool import connected
from collector.database.writing.kept_letters import (
    LetterSelection,
    ListedLetter,
    count_letters,
    list_letters,
    read_letters,
)
from collector.database.writing.letter_replay import Step, discard_letters, replay_letters
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import parse_time_range
from collector.domain.errors import BadRequest, NotFound
from collector.domain.event.outcome import DeadLetter, DeadLetterReason
from collector.domain.ids import parse_uuid
from collector.domain.intake.decompress import UnstorablePost, decompress
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

MOST_AT_ONCE: Final = 5000
"""Of one request: then it answers, and says how many are left."""

_PAGE: Final = 1000
_IDS_AT_MOST: Final = 100
_TEXT_BYTES: Final = 64 << 10
_UNPACKED_BYTES: Final = 32 << 20
_SELECTING: Final = (
    Parameter("ids", f"Up to {_IDS_AT_MOST} ids, separated by commas."),
    Parameter("reason", "The reason, such as `too_large`."),
    Parameter("project", "The id of a project."),
    Parameter("time", "When they became dead letters, like `last 24 hours`."),
)
_CHANGING: Final = (*_SELECTING, Parameter("count_only", "`true` only counts them.", bool))
_ALL: Final = Parameter("all", "`true` discards every dead letter; otherwise say which.", bool)


class LetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter. `bytes` are kept of its body; `removed_bytes` were dropped because there was no room."""

    id: str
    project_id: str | None
    project_name: str | None
    reason: str
    detail: str
    accepted_utc: datetime
    created_utc: datetime
    bytes: int
    removed_bytes: int
    can_be_replayed: bool


class LetterContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a dead letter holds, decompressed if possible; `text` ends after 64 KiB."""

    content_type: str
    content_encoding: str
    user_agent: str
    client_ip: str
    text: str
    is_decompressed: bool
    is_cut: bool


class ShownLetter(LetterView, frozen=True, kw_only=True):
    """A dead letter with its content."""

    content: LetterContent


class LettersView(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters were replayed or discarded, and how many of the selected ones are left."""

    letters: int
    bytes: Annotated[int, Meta(description="Of the bodies of those that matched.")]
    done: int
    left: int
    cannot_be_replayed: int


@documented(
    "Admin",
    {200: Answer(list[LetterView], headers=LIST_HEADERS)},
    parameters=(
        *_SELECTING,
        Parameter("before", "Only letters that were accepted before the one with this id."),
        Parameter("limit", f"1 to {_PAGE}, 10 by default.", Annotated[int, Meta(ge=1, le=_PAGE)]),
    ),
    refusals=(NotFound,),
)
async def get_letters(request: web.Request) -> web.Response:
    """List dead letters: what can never be stored as it is. The last accepted ones come first."""
    parameters = query_parameters(request)
    limit = requested_page(parameters, maximum=_PAGE).limit
    before = _uuid(parameters["before"]) if "before" in parameters else None
    selection = await _selection(request, parameters)
    async with searching(request) as connection:
        found = await list_letters(connection, selection, limit=limit + 1, before=before)
    response = json_response([letter_view(letter) for letter in found[:limit]])
    if len(found) > limit:
        add_link(request, response, "next", before=found[limit - 1].id.hex)
    return response


@documented("Admin", {200: Answer(ShownLetter)}, refusals=(NotFound,))
async def get_letter(request: web.Request) -> web.Response:
    """Show one dead letter with its content."""
    async with connected(request.app[API].pool) as connection:
        shown = await show_letter(connection, request.match_info["id"])
    return json_response(shown)


@documented("Admin", {200: Answer(LettersView)}, parameters=_CHANGING, refusals=(NotFound,))
async def post_replay(request: web.Request) -> web.Response:
    """Replay dead letters: the worker stores them as it does new posts, with their time of acceptance.

    Ask with `count_only=true` first. A letter that still cannot be stored becomes a dead letter again.
    At most 5,000 are replayed by one request; repeat it until `left` is 0, also after an interruption.
    """
    return await _change(request, replay_letters, only_replayable=True)


@documented("Admin", {200: Answer(LettersView)}, parameters=(*_CHANGING, _ALL), refusals=(NotFound,))
async def delete_letters(request: web.Request) -> web.Response:
    """Discard dead letters for good; what was dead-lettered stays counted.

    Ask with `count_only=true` first. At most 5,000 are discarded by one request; repeat it until `left` is 0.
    """
    parameters = query_parameters(request)
    if not flag(parameters, "all") and not parameters.keys() & {each.name for each in _SELECTING}:
        raise BadRequest("Say which: by `ids`, `reason`, `project` or `time`, or `all=true`.")
    return await _change(request, discard_letters, only_replayable=False)


def letter_view(letter: ListedLetter) -> LetterView:
    """The letter as answers show it."""
    return LetterView(
        id=letter.id.hex,
        project_id=None if letter.project_id is None else letter.project_id.hex,
        project_name=letter.project_name,
        reason=letter.reason,
        detail=letter.detail,
        accepted_utc=letter.accepted_utc,
        created_utc=letter.created_utc,
        bytes=letter.bytes,
        removed_bytes=letter.removed_bytes,
        can_be_replayed=letter.is_replayable,
    )


async def show_letter(connection: asyncpg.Connection, text: str) -> ShownLetter:
    """The letter with this id, and its content. Raises NotFound."""
    id_ = parse_uuid(text)
    found = await list_letters(connection, LetterSelection(ids=(id_,) if id_ else ()), limit=1)
    kept = await read_letters(connection, [letter.id for letter in found])
    if not found or not kept:
        raise NotFound("There is no such dead letter.")
    # A small body can unpack to megabytes.
    content = await asyncio.to_thread(_content, kept[0].letter)
    return ShownLetter(**msgspec.structs.asdict(letter_view(found[0])), content=content)


def _content(letter: DeadLetter) -> LetterContent:
    """The content of a letter as text. Bytes that are no UTF-8 become U+FFFD."""
    body, is_decompressed = letter.body, False
    if letter.content_encoding:
        try:
            body = decompress(letter.body, letter.content_encoding, _UNPACKED_BYTES)
            is_decompressed = True
        except UnstorablePost:
            pass
    return LetterContent(
        content_type=letter.content_type,
        content_encoding=letter.content_encoding,
        user_agent=letter.user_agent,
        client_ip=letter.client_ip,
        text=body[:_TEXT_BYTES].decode(errors="replace"),
        is_decompressed=is_decompressed,
        is_cut=len(body) > _TEXT_BYTES,
    )


def parse_reason(text: str) -> DeadLetterReason:
    """A reason by its name. Raises BadRequest."""
    try:
        return DeadLetterReason(text.strip().lower())
    except ValueError:
        raise BadRequest(f"The reason must be one of {', '.join(DeadLetterReason)}.") from None


async def _change(
    request: web.Request,
    steps: Callable[[asyncpg.Pool, LetterSelection], AsyncGenerator[Step]],
    *,
    only_replayable: bool,
) -> web.Response:
    parameters, pool = query_parameters(request), request.app[API].pool
    selection = await _selection(request, parameters)
    async with searching(request) as connection:
        count = await count_letters(connection, selection)
    possible = count.replayable if only_replayable else count.letters
    done = kept = 0
    if not flag(parameters, "count_only"):
        async with aclosing(steps(pool, selection)) as committed:
            async for step in committed:
                done, kept = done + step.done, kept + step.left
                if done >= MOST_AT_ONCE:
                    break
    return json_response(
        LettersView(
            letters=count.letters,
            bytes=count.bytes,
            done=done,
            left=max(0, possible - done - kept),
            cannot_be_replayed=count.letters - count.replayable + kept,
        )
    )


async def _selection(request: web.Request, parameters: Mapping[str, str]) -> LetterSelection:
    api = request.app[API]
    time = parse_time_range(parameters.get("time", ""), LocalClock(api.clock.now()))
    ids = parameters["ids"].split(",") if "ids" in parameters else None
    if ids is not None and len(ids) > _IDS_AT_MOST:
        raise BadRequest(f"At most {_IDS_AT_MOST} ids can be given.")
    project_id = None
    if "project" in parameters:
        async with connected(api.pool) as connection:
            project_id = (await reachable_project(connection, request[IDENTITY], parameters["project"])).id
    return LetterSelection(
        ids=None if ids is None else tuple(map(_uuid, ids)),
        reason=parse_reason(parameters["reason"]) if "reason" in parameters else None,
        project_id=project_id,
        since=time.begin,
        until=time.end,
    )


def _uuid(text: str) -> UUID:
    if (found := parse_uuid(text.strip())) is None:
        raise BadRequest(f"{text[:40]!r} is not the id of a dead letter.")
    return found


ROUTES: Final = (
    Route("GET", "/admin/dead-letters", get_letters, Role.GLOBAL),
    Route("DELETE", "/admin/dead-letters", delete_letters, Role.GLOBAL),
    Route("GET", "/admin/dead-letters/{id:objectid}", get_letter, Role.GLOBAL),
    Route("POST", "/admin/dead-letters/replay", post_replay, Role.GLOBAL),
)
