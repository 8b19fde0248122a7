"""What every handler of ingest has around it: refusals are counted, and our own faults are 503.

Clients throw events away on most other codes.
"""

import functools
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from collector.domain.errors import Refusal, Unavailable
from collector.ingest.services import DOOR

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger()


def ingest_errors(handler: Handler) -> Handler:
    """Count refusals, and answer 503 to whatever goes wrong on our side."""

    @functools.wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            request.app[DOOR].count_refusal(refusal)
            raise
        except Exception as error:
            _log.exception("request failed at ingest", path=request.path)
            surprise = Unavailable("Something went wrong on our side; please repeat the request.")
            request.app[DOOR].count_refusal(surprise)
            raise surprise from error

    return guarded
