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

from collector.api.auth.authentication import IDENTITY, Identity, throttle_key
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

    Organizations take turns. Raises Unavailable if too many searches are running, QueryTooSlow and
    DatabaseUnavailable.
    """
    api, who = request.app[API], turn_key(request[IDENTITY])
    slots = api.search_slots
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


def turn_key(identity: Identity) -> str:
    """Whose turn a search or a check takes: the organization's, or that of a person with none or several.

    A person with several counts for none of them: the others in it may be using up its turns.
    """
    if len(identity.organization_ids) == 1 or (identity.is_token and identity.organization_ids):
        return counted_organization(identity.organization_ids[0].hex)
    return throttle_key(identity)


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
