"""The protocol of each connection: aiohttp's with limits, fast paths, rewriting and error answers.

Before routing, each request's method override is applied, doubled slashes are collapsed and its path gets the
route's spelling. The parser's own errors are problem JSON.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage

from collector.http.connection.bounds import BoundedConnection
from collector.http.connection.fast_path import FastPath, FastPathConnection, find_fast_path
from collector.http.connection.limits import ConnectionLimits
from collector.http.connection.method_override import apply_method_override
from collector.http.connection.path_spelling import PathSpelling, collapse_slashes
from collector.http.errors import RETRY_AFTER, problem
from collector.http.health import HEALTH_PATHS
from collector.http.responses import SECURITY_HEADERS

_CONTINUE: Final = "100-continue"

_log = structlog.get_logger()


def protocol_factory(
    runner: web.AppRunner,
    fast_paths: Mapping[str, FastPath],
    limits: ConnectionLimits,
) -> Callable[[], asyncio.Protocol]:
    """Make the protocol of each connection; the runner's own server keeps track of them."""
    manager: Any = runner.server
    spelling = PathSpelling(runner.app.router.resources())
    manager.request_handler = _with_fast_paths(manager.request_handler, fast_paths)
    manager.request_factory = _with_rewriting(manager.request_factory, spelling)
    options = {"loop": asyncio.get_running_loop(), **manager._kwargs}  # noqa: SLF001
    return lambda: _Connection(manager, limits, fast_paths, options)


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
        response = _WithoutServerHeader(
            body=answer.body, status=status, headers={**answer.headers, **SECURITY_HEADERS}
        )
        response.force_close()
        return response


class _WithoutServerHeader(web.Response):
    """A response without aiohttp's `Server` header, which an application removes from its own responses."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        del self.headers[hdrs.SERVER]


def _with_fast_paths(
    routed: Callable[[Any], Any], fast_paths: Mapping[str, FastPath]
) -> Callable[[Any], Any]:
    def dispatch(request: web.BaseRequest) -> Any:
        connection = request.protocol
        if isinstance(connection, BoundedConnection) and connection.is_for_health:
            return routed(request) if request.path in HEALTH_PATHS else _too_many(request)
        fast_path = find_fast_path(fast_paths, request._message.path)  # noqa: SLF001
        answer = None if fast_path is None else fast_path(request)
        if answer is not None:
            return answer
        # aiohttp would answer an unknown expectation itself, in plain text.
        expected = request.headers.get(hdrs.EXPECT)
        if expected is not None and expected.lower() != _CONTINUE:
            return _expectation_failed(request)
        return routed(request)

    return dispatch


async def _too_many(request: web.BaseRequest) -> web.StreamResponse:
    response = problem(
        request, HTTPStatus.SERVICE_UNAVAILABLE, "Too many open connections.", headers={RETRY_AFTER: "5"}
    )
    response.headers.update(SECURITY_HEADERS)
    response.force_close()
    return response


async def _expectation_failed(request: web.BaseRequest) -> web.StreamResponse:
    title = "The only expectation that this server can meet is 100-continue."
    response = problem(request, HTTPStatus.EXPECTATION_FAILED, title)
    response.headers.update(SECURITY_HEADERS)
    return response


def _with_rewriting(
    make_request: Callable[..., web.BaseRequest], spelling: PathSpelling
) -> Callable[..., web.BaseRequest]:
    def rewrite(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        message = collapse_slashes(apply_method_override(message))
        return make_request(spelling.apply(message), *rest)

    return rewrite
