"""The HTTP server that ingest and api share: how an application is made, listens, and ends.

Bodies arrive as they were sent (nothing is inflated) and the security headers are on every answer.
"""

import asyncio
import errno
import resource
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import hdrs, web

from collector.http.connection import SECURITY_HEADERS, protocols
from collector.http.cors import add_cors_headers, preflights
from collector.http.errors import problems
from collector.http.fast_path import DIRECT
from collector.http.throttle import add_allowance_headers
from collector.process.lifecycle import StartError, Stop

CONNECTIONS: Final = 10_000
_OWN_FILES: Final = 128

_DRAIN_SECONDS: Final = 10.0
"""How long requests under way may take once the process was told to stop."""
_KEEPALIVE_SECONDS: Final = 75.0
_BACKLOG: Final = 1024

_log = structlog.get_logger()


def _ignore() -> None:
    """Nobody wants to know."""


def application(middlewares: Iterable[Any] = ()) -> web.Application:
    """An application whose every answer is problem JSON when it is an error, with the common headers."""
    app = web.Application(middlewares=[problems, preflights, *middlewares])
    app.on_response_prepare.append(_add_common_headers)
    return app


class Address(NamedTuple):
    """Where to listen; port 0 lets the system choose."""

    host: str
    port: int


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


async def serve(
    app: web.Application,
    address: Address,
    stop: Stop,
    *,
    reuse_port: bool = False,
    connections: int = CONNECTIONS,
    on_refused: Callable[[], None] = _ignore,
) -> None:
    """Serve the application until told to stop, then answer what is under way.

    Raises StartError when the address cannot be had.
    """
    listener = await listen(
        app, address, reuse_port=reuse_port, connections=connections, on_refused=on_refused
    )
    _log.info("serving", host=address.host, port=listener.port)
    try:
        await stop.wait()
        _log.info("stopping")
    finally:  # also where a background task has died: what is under way gets its answer
        await listener.close()


async def listen(
    app: web.Application,
    address: Address,
    *,
    reuse_port: bool = False,
    connections: int = CONNECTIONS,
    on_refused: Callable[[], None] = _ignore,
) -> Listener:
    """Serve the application on so many connections at once; one more is answered 503 and closed.

    `on_refused` is called for each of those. Several processes may share a port with `reuse_port`. Raises
    StartError when the address cannot be had.
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
            protocols(runner, app.get(DIRECT, {}), _affordable(connections), on_refused),
            address.host,
            address.port,
            backlog=_BACKLOG,
            reuse_port=reuse_port or None,
        )
    except OSError as error:
        await runner.cleanup()
        raise StartError(_no_address(address, error)) from error
    return Listener(runner, server)


async def _add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    add_cors_headers(request, response)
    add_allowance_headers(request, response)
    response.headers.popall(hdrs.SERVER, None)
    response.headers.update(SECURITY_HEADERS)


def _affordable(connections: int) -> int:
    """No more connections than this process may open files, less what it needs for itself."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if files == resource.RLIM_INFINITY else max(1, min(connections, files - _OWN_FILES))


def _no_address(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {address.port} on {address.host} is in use by another program; "
            "choose another with HEADRACE_PORT."
        )
    return f"cannot listen on {address.host} port {address.port}: {error.strerror or error}."
