"""How a search runs: in its turn, for a bounded time, and only while somebody waits for its answer.

Bounded is what all of its statements take together, where one alone is stopped by the server: whoever asks
has his 503 before he gives up himself. Nothing of it goes on behind his back, nor when he has left.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from aiohttp import web

from collector.api.auth.authentication import IDENTITY, counted_as
from collector.api.core.service import API
from collector.database.errors import QueryTooSlow
from collector.database.pool import connected
from collector.http.connection.bounds import cancel_on_disconnect

_SECONDS: Final = 15.0


@asynccontextmanager
async def searching(request: web.Request) -> AsyncIterator[asyncpg.Connection]:
    """A connection for what may have to be looked for in every event, when its turn comes.

    Raises Unavailable when there are too many such searches, QueryTooSlow and DatabaseUnavailable.
    """
    turns, asker = request.app[API].search_slots, counted_as(request[IDENTITY])
    with cancel_on_disconnect(request):
        async with turns.turn(asker, longest_seconds=_SECONDS), _connected(request) as connection:
            yield connection


@asynccontextmanager
async def looking_up(request: web.Request) -> AsyncIterator[asyncpg.Connection]:
    """A connection for what is found by an index or among few: it waits for no turn. Raises likewise."""
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
