"""How long a search may take: all of its statements together, where one alone is stopped by the server.

Whoever asks has his 503 before he gives up himself, and nothing of it goes on behind his back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from collector.api.service import Api
from collector.database.errors import QueryTooSlow
from collector.database.pool import connected

_SECONDS: Final = 15.0


@asynccontextmanager
async def searching(api: Api) -> AsyncIterator[asyncpg.Connection]:
    """A connection for all that one answer needs. Raises QueryTooSlow, and DatabaseUnavailable."""
    try:
        async with asyncio.timeout(_SECONDS), connected(api.pool) as connection:
            yield connection
    except TimeoutError as error:
        raise QueryTooSlow(f"the search took more than {_SECONDS:g} s") from error
