"""The protocol of each connection: aiohttp's with limits, fast paths, rewriting and error answers.

Before routing, each request's method override is applied, doubled slashes are collapsed and its path gets the
route's spelling. The parser's own errors are problem JSON.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11

from collector.domain.reasons import CONNECTIONS
from collector.http.client_address import TrustedProxies
from collector.http.connection.bounds import BoundedConnection
from collector.http.connection.expectation import (
    CONTINUE,
    EXPECTATION,
    answer_without_body,
    without_expectation,
)
from collector.http.connection.fast_path import FastPath, FastPathConnection, Shared, find_fast_path
from collector.http.connection.limits import ConnectionLimits
from collector.http.connection.method_override import apply_method_override
from collector.http.connection.path_spelling import PathSpelling, collapse_slashes
from collector.http.connection.request_turns import RequestTurns
from collector.http.errors import RETRY_AFTER, problem
from collector.http.health import HEALTH_PATHS
from collector.http.responses import SECURITY_HEADERS

_log = structlog.get_logger()


def protocol_factory(
    runner: web.AppRunner,
    fast_paths: Mapping[str, FastPath],
    limits: ConnectionLimits,
    proxies: TrustedProxies,
) -> Callable[[], asyncio.Protocol]:
    """Make the protocol of each connection; the runner's own server keeps track of them."""
    manager: Any = runner.server
    spelling = PathSpelling(runner.app.router.resources())
    manager.request_handler = _with_fast_paths(manager.request_handler, fast_paths)
    manager.request_factory = _with_rewriting(manager.request_factory, spelling)
    options = {"loop": asyncio.get_running_loop(), **manager._kwargs}  # noqa: SLF001
    shared = Shared(limits, RequestTurns(), proxies)
    return lambda: _Connection(manager, shared, fast_paths, options)


class _Connection(FastPathConnection):
    """Answers what the parser rejects with problem JSON."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's text is for developers
    ) -> web.StreamResponse:
        """Answer requests that the parser rejects, and errors outside every handler, with problem JSON."""
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer has been sent; no error can be sent after it")
        # An error of ours, a request that is too long, or one that is not HTTP.
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("request failed outside its handler", exc_info=exc)
            answer = problem(request, status, "Something went wrong on our side.")
        elif isinstance(exc, LineTooLong):
            answer = problem(request, status, "The request's address, or one of its headers, is too long.")
        else:
            answer = problem(request, status, "The request is not valid HTTP.")
        return _closing(answer)


class _WithoutServerHeader(web.Response):
    """A response without aiohttp's `Server` header, which an application removes from its own responses."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        del self.headers[hdrs.SERVER]


def _closing(answer: web.Response) -> web.StreamResponse:
    """The same answer for a request that no application sees; it closes the connection."""
    response = _WithoutServerHeader(
        body=answer.body, status=answer.status, headers={**answer.headers, **SECURITY_HEADERS}
    )
    response.force_close()
    return response


def _with_fast_paths(
    routed: Callable[[Any], Any], fast_paths: Mapping[str, FastPath]
) -> Callable[[Any], Any]:
    def dispatch(request: web.BaseRequest) -> Any:
        connection = request.protocol
        if isinstance(connection, FastPathConnection) and not connection.has_turn():
            return in_turn(connection, request)
        return begin(request)

    async def in_turn(connection: FastPathConnection, request: web.BaseRequest) -> Any:
        await connection.turn(request)
        return await begin(request)

    def begin(request: web.BaseRequest) -> Any:
        fast_path = find_fast_path(fast_paths, request._message.path)  # noqa: SLF001
        answer = _refusal_by_head(request)
        if answer is None and fast_path is not None:
            answer = fast_path(request)
        if answer is not None:
            return answer
        return answer_without_body(routed, request) if EXPECTATION in request else routed(request)

    return dispatch


def _refusal_by_head(request: web.BaseRequest) -> Coroutine[Any, Any, web.StreamResponse] | None:
    """The refusal of a request that no handler may see; None if there is no reason for one."""
    connection = request.protocol
    if isinstance(connection, BoundedConnection) and connection.is_for_health:
        if request.path in HEALTH_PATHS:
            return None
        return _closed(request, HTTPStatus.SERVICE_UNAVAILABLE, CONNECTIONS.sentence, {RETRY_AFTER: "5"})
    # A chunked body in HTTP/1.0 is framed faultily (RFC 9112, 6.1): what follows may be another request.
    if request.version < HttpVersion11 and hdrs.TRANSFER_ENCODING in request.headers:
        return _closed(request, HTTPStatus.BAD_REQUEST, "A body with a transfer encoding needs HTTP/1.1.")
    # aiohttp would answer an unknown expectation itself, in plain text.
    if request.get(EXPECTATION, CONTINUE) != CONTINUE:
        title = "The only expectation that this server can meet is 100-continue."
        return _closed(request, HTTPStatus.EXPECTATION_FAILED, title)
    return None


async def _closed(
    request: web.BaseRequest, status: int, title: str, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """A refusal after which the connection is closed."""
    return _closing(problem(request, status, title, headers=headers))


def _with_rewriting(
    make_request: Callable[..., web.BaseRequest], spelling: PathSpelling
) -> Callable[..., web.BaseRequest]:
    def rewrite(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        expected = message.headers.get(hdrs.EXPECT)
        message = collapse_slashes(apply_method_override(without_expectation(message)))
        request = make_request(spelling.apply(message), *rest)
        if expected is not None and request.version >= HttpVersion11:
            request[EXPECTATION] = expected.lower()
        return request

    return rewrite
