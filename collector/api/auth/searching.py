"""Connections for searches: in a search slot, for a bounded time, cancelled when the client disconnects.

Postgres bounds each statement; the timeout here bounds all statements of a search together, so that clients
get a 503 before their own timeout. No statement keeps running after the answer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg
from aiohttp import web

from collector.api.auth.authentication import IDENTITY, throttle_key
from collector.api.core.service import API
from collector.database.errors import QueryTooSlow
from collector.database.pool import connected
from collector.domain.errors import Unavailable
from collector.http.connection.bounds import cancel_on_disconnect
from collector.http.throttle import counted_organization

_SECONDS: Final = 15.0


@asynccontextmanager
async def searching(request: web.Request) -> AsyncIterator[asyncpg.Connection]:
    """A connection for a query that may have to scan every event; waits for a search slot.

    Organizations take turns: a person's searches count for the first of theirs. Raises Unavailable if too
    many searches are running, QueryTooSlow and DatabaseUnavailable.
    """
    api, identity = request.app[API], request[IDENTITY]
    slots = api.search_slots
    organization = next(iter(identity.organization_ids), None)
    who = throttle_key(identity) if organization is None else counted_organization(organization.hex)
    with cancel_on_disconnect(request):
        async with AsyncExitStack() as stack:
            began = api.clock.monotonic()
            try:
                await stack.enter_async_context(slots.slot(who, longest_seconds=_SECONDS))
            except Unavailable:
                api.metrics.searches_ended.labels("no_slot").inc()
                raise
            finally:
                api.metrics.search_wait_seconds.observe(api.clock.monotonic() - began)
            yield await stack.enter_async_context(_connected(request))


@asynccontextmanager
async def looking_up(request: web.Request) -> AsyncIterator[asyncpg.Connection]:
    """A connection for a query that uses an index or scans few rows; needs no search slot.

    Raises QueryTooSlow and DatabaseUnavailable.
    """
    with cancel_on_disconnect(request):
        async with _connected(request) as connection:
            yield connection


@asynccontextmanager
async def _connected(request: web.Request) -> AsyncIterator[asyncpg.Connection]:
    try:
        async with asyncio.timeout(_SECONDS), connected(request.app[API].pool) as connection:
            yield connection
    except TimeoutError as error:
        raise QueryTooSlow(f"the search took more than {_SECONDS:g} s") from error
