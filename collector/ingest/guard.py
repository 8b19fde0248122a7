"""Wraps every handler of ingest: counts refusals, and answers 503 to errors on our side.

Clients drop events on most other codes.
"""

import functools
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from collector.domain.errors import Refusal, Unavailable
from collector.ingest.services import INGEST

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger()


def ingest_errors(handler: Handler) -> Handler:
    """Count refusals, and answer 503 to unexpected errors."""

    @functools.wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            request.app[INGEST].count_refusal(refusal)
            raise
        except Exception as error:
            _log.exception("request failed at ingest", path=request.path)
            unexpected = Unavailable("Something went wrong on our side; please repeat the request.")
            request.app[INGEST].count_refusal(unexpected)
            raise unexpected from error

    return guarded
