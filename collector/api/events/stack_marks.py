"""Marking stacks as fixed in a version, snoozed or critical (contract 9)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final
from uuid import UUID

import asyncpg
from aiohttp import web

from collector.api.core.deletion import CHANGED_IN_PART
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.events.stacks import change_stacks
from collector.api.request.parameters import query_parameters
from collector.database.search.stacks import change_status, mark_critical
from collector.domain.dates.datemath import LocalClock, parse_span
from collector.domain.dates.written_date import written_date
from collector.domain.errors import BadRequest, Invalid
from collector.domain.event.stack import StackStatus
from collector.domain.jsonb.check import is_storable_text
from collector.domain.version import is_version
from collector.http.operation import Answer, Parameter, documented

_LONGEST_VERSION: Final = 200
_SHORTEST_SNOOZE: Final = timedelta(minutes=5)
_NO_VERSION: Final = (
    f"The version field must be a version of at most {_LONGEST_VERSION} characters, as 1.2.3 or 2.0.0-beta.1."
)
VERSION: Final = Parameter(
    "version",
    "The version that fixes it; events of older versions do not reopen it. Compared by SemVer precedence.",
)
UNTIL: Final = Parameter(
    "snoozeUntilUtc",
    "The end of the snooze, at least five minutes from now.",
    example="2027-01-01T00:00:00Z",
    is_required=True,
)


@documented("Stack", {200: Answer(), **CHANGED_IN_PART}, parameters=(VERSION,), refusals=(BadRequest,))
async def post_fixed(request: web.Request) -> web.Response:
    """Mark stacks as fixed, in a version or from now on. Later events set them to `regressed`."""
    version = parse_version(query_parameters(request))
    return await _mark(request, StackStatus.FIXED, fixed_in_version=version)


@documented("Stack", {200: Answer(), **CHANGED_IN_PART}, parameters=(UNTIL,), refusals=(Invalid,))
async def post_snoozed(request: web.Request) -> web.Response:
    """Snooze stacks until a time. The first event after it reopens them."""
    until = parse_snooze(query_parameters(request), request.app[API].clock.now())
    return await _mark(request, StackStatus.SNOOZED, snooze_until_utc=until)


@documented("Stack", {200: Answer(), **CHANGED_IN_PART})
async def post_critical(request: web.Request) -> web.Response:
    """Mark all occurrences of stacks as critical. New events get the tag `Critical`."""
    return await _mark_critical(request, is_critical=True)


@documented("Stack", {204: Answer(), **CHANGED_IN_PART})
async def delete_critical(request: web.Request) -> web.Response:
    """Mark the occurrences of stacks as no longer critical."""
    return await _mark_critical(request, is_critical=False)


def parse_version(parameters: Mapping[str, str]) -> str | None:
    """The version in which stacks are fixed; None if none is given. Raises BadRequest."""
    version = parameters.get("version", "").strip() or None
    if version is not None and not (
        len(version) <= _LONGEST_VERSION and is_storable_text(version) and is_version(version)
    ):
        raise BadRequest(_NO_VERSION, fields={"version": [_NO_VERSION]})
    return version


def parse_snooze(parameters: Mapping[str, str], now: datetime) -> datetime:
    """The end of the snooze. Raises Invalid."""
    text = parameters.get("snoozeuntilutc", "")
    # A date as filters have it, or as .NET writes it.
    span = parse_span(text, LocalClock(now))
    until = written_date(text, now) if span is None else span.begin
    if until is None or until < now + _SHORTEST_SNOOZE:
        raise Invalid(fields={"snooze_until_utc": ["Must snooze for at least 5 minutes."]})
    return until


async def _mark(
    request: web.Request,
    status: StackStatus,
    *,
    fixed_in_version: str | None = None,
    snooze_until_utc: datetime | None = None,
) -> web.Response:
    now = request.app[API].clock.now()

    async def change(connection: asyncpg.Connection, ids: Sequence[UUID]) -> None:
        await change_status(
            connection, ids, status, now, fixed_in_version=fixed_in_version, snooze_until_utc=snooze_until_utc
        )

    return await change_stacks(request, change)


async def _mark_critical(request: web.Request, *, is_critical: bool) -> web.Response:
    now = request.app[API].clock.now()

    async def change(connection: asyncpg.Connection, ids: Sequence[UUID]) -> None:
        await mark_critical(connection, ids, now, is_critical=is_critical)

    return await change_stacks(request, change, HTTPStatus.OK if is_critical else HTTPStatus.NO_CONTENT)


ROUTES: Final = (
    Route("POST", "/stacks/{ids:objectids}/mark-fixed", post_fixed, Role.USER),
    Route("POST", "/stacks/{ids:objectids}/mark-snoozed", post_snoozed, Role.USER),
    Route("POST", "/stacks/{ids:objectids}/mark-critical", post_critical, Role.USER),
    Route("DELETE", "/stacks/{ids:objectids}/mark-critical", delete_critical, Role.USER),
)
