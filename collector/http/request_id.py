"""The id of a request: in the header `X-Request-Id` of its answer and in the log lines about it.

Taken from the request where its header has the shape of an id, so that a proxy's id is found in our logs;
otherwise made here. An accepted post has the id of its first event. Whatever else a client writes there never
reaches a log or an answer.
"""

import random
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web
from multidict import MultiMapping, istr

REQUEST_ID: Final = istr("X-Request-Id")

_SHAPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
"""As long as what is usual: a UUID, a trace id, 20 letters and digits."""
_KEY: Final = web.RequestKey("request_id", str)
_BITS: Final = 128

# Ids must be unique, not secret: a randomly seeded generator needs no system call.
_random_bits: Final = random.Random(secrets.randbits(256)).getrandbits  # noqa: S311

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def sent_request_id(headers: MultiMapping[str]) -> str | None:
    """The id that the request came with; None if it has none, or something else in its place."""
    sent = headers.get(REQUEST_ID)
    return sent if sent is not None and _SHAPE.fullmatch(sent) else None


def request_id(request: web.BaseRequest) -> str:
    """The id of the request, made when it is first asked for."""
    found = request.get(_KEY)
    if found is None:
        found = sent_request_id(request.headers) or f"{_random_bits(_BITS):032x}"
        request[_KEY] = found
    return found


def prefer_request_id(request: web.BaseRequest, preferred: str) -> None:
    """Use this id from here on, unless the request came with one."""
    if sent_request_id(request.headers) is not None:
        return
    # Outside the middleware, on the fast path, no log line carries an id.
    if _KEY in request:
        structlog.contextvars.bind_contextvars(request_id=preferred)
    request[_KEY] = preferred


@web.middleware
async def request_ids(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Put the request's id into every log line until it is answered."""
    with structlog.contextvars.bound_contextvars(request_id=request_id(request)):
        return await handler(request)
