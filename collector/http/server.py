"""The HTTP server that ingest and api share: aiohttp, tuned so that every answer keeps the contract.

Bodies arrive as they were sent (nothing is inflated), doubled slashes are folded, the security headers are on
every answer and the parser's own errors are problem JSON too.
"""

import asyncio
import errno
from collections.abc import Callable, Coroutine, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from collector.http.errors import problem, problems
from collector.process.lifecycle import StartError, Stop

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
}

Direct = Callable[[web.BaseRequest], Coroutine[Any, Any, web.StreamResponse] | None]
"""Takes a request past routing and middlewares, or answers None to let it go the usual way."""

DIRECT: Final = web.AppKey("direct", Mapping[str, Direct])
"""An application's direct ways, by path."""

_DRAIN_SECONDS: Final = 10.0
"""How long requests under way may take once the process was told to stop."""
_KEEPALIVE_SECONDS: Final = 75.0
_BACKLOG: Final = 1024

_log = structlog.get_logger()


def application(middlewares: Iterable[Any] = ()) -> web.Application:
    """An application whose every answer is problem JSON when it is an error, with the common headers."""
    app = web.Application(middlewares=[problems, *middlewares])
    app.on_response_prepare.append(_add_common_headers)
    return app


class Listener:
    """An application that is being served."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server) -> None:
        self._runner = runner
        self._server = server

    @property
    def port(self) -> int:
        """The port it listens on; the one that the system chose where 0 was asked for."""
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no more connections, let the requests under way finish, then close."""
        self._server.close()
        await self._runner.cleanup()


async def serve(app: web.Application, host: str, port: int, stop: Stop, *, reuse_port: bool = False) -> None:
    """Serve the application until told to stop, then answer what is under way.

    Raises StartError when the address cannot be had.
    """
    listener = await listen(app, host, port, reuse_port=reuse_port)
    _log.info("serving", host=host, port=listener.port)
    await stop.wait()
    _log.info("stopping")
    await listener.close()


async def listen(app: web.Application, host: str, port: int, *, reuse_port: bool = False) -> Listener:
    """Serve the application. Several processes may share a port with `reuse_port`.

    Raises StartError when the address cannot be had.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        shutdown_timeout=_DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(
            _protocols(runner, app.get(DIRECT, {})),
            host,
            port,
            backlog=_BACKLOG,
            reuse_port=reuse_port or None,
        )
    except OSError as error:
        await runner.cleanup()
        raise StartError(_no_address(host, port, error)) from error
    return Listener(runner, server)


class _ProblemHandler(RequestHandler):
    """Answers what aiohttp's parser refuses with problem JSON instead of text."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - ours says it for people
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer is out already; nothing more can be said")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("request failed outside its handler", exc_info=exc)
            response = problem(request, status, "Something went wrong on our side.")
        else:
            response = problem(request, status, "The request is no valid HTTP.")
        response.headers.update(SECURITY_HEADERS)
        # No application prepares this answer, so nothing else would remove or replace aiohttp's own name.
        response.headers[hdrs.SERVER] = "headrace"
        response.force_close()
        return response


def _protocols(runner: web.AppRunner, direct: Mapping[str, Direct]) -> Any:
    """What makes a protocol for each connection; the runner's own server keeps track of them."""
    manager = runner.server
    assert manager is not None  # noqa: S101 - `setup` has made it
    loop = asyncio.get_running_loop()
    make_request: Any = manager.request_factory
    routed: Any = manager.request_handler

    def dispatch(request: web.BaseRequest) -> Coroutine[Any, Any, web.StreamResponse]:
        way = direct.get(request._message.path)  # noqa: SLF001
        answer = None if way is None else way(request)
        return routed(request) if answer is None else answer

    def fold_slashes(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        if "//" in message.path and "//" in (path := message.url.raw_path):
            while "//" in path:
                path = path.replace("//", "/")
            message = message._replace(url=message.url.with_path(path, encoded=True, keep_query=True))
        request: web.BaseRequest = make_request(message, *rest)
        return request

    manager.request_handler = dispatch
    manager.request_factory = fold_slashes
    return lambda: _ProblemHandler(manager, loop=loop, **manager._kwargs)  # noqa: SLF001


async def _add_common_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    response.headers.update(SECURITY_HEADERS)


def _no_address(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program; choose another with HEADRACE_PORT."
    return f"cannot listen on {host} port {port}: {error.strerror or error}."
