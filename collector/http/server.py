"""The HTTP server that ingest and api share: making an application, listening, and stopping.

Bodies arrive as they were sent (nothing is decompressed) and every answer has the security headers.
"""

import asyncio
import errno
import resource
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import structlog
from aiohttp import hdrs, web

from collector.http.client_address import NO_PROXIES, TrustedProxies
from collector.http.connection.fast_path import FAST_PATHS
from collector.http.connection.limits import HEALTH_CONNECTIONS, ConnectionLimits
from collector.http.connection.protocol import protocol_factory
from collector.http.cors import add_cors_headers, preflights
from collector.http.errors import problems
from collector.http.request_id import REQUEST_ID, request_id, request_ids
from collector.http.responses import SECURITY_HEADERS
from collector.http.throttle import add_allowance_headers
from collector.process.lifecycle import StartError, Stop

CONNECTIONS: Final = 10_000
_OWN_FILES: Final = 128 + HEALTH_CONNECTIONS
"""File descriptors that the process needs besides these connections."""

_DRAIN_SECONDS: Final = 10.0
"""How long running requests may take once the process has been asked to stop."""
_KEEPALIVE_SECONDS: Final = 75.0
_BACKLOG: Final = 1024

_log = structlog.get_logger()


def _ignore() -> None:
    """Do nothing about a refused connection."""


def application(middlewares: Iterable[Any] = ()) -> web.Application:
    """An application that answers errors with problem JSON and adds the common headers to every answer."""
    app = web.Application(middlewares=[request_ids, problems, preflights, *middlewares])
    app.on_response_prepare.append(_add_common_headers)
    return app


class Address(NamedTuple):
    """Where to listen; with port 0 the system chooses one. Several processes may share a port.

    While it is in use, the next `spare_ports` ones are tried in turn.
    """

    host: str
    port: int
    is_shared: bool = False
    spare_ports: int = 0


class Listener:
    """An application that is being served."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server) -> None:
        self._runner = runner
        self._server = server

    @property
    def port(self) -> int:
        """The port it listens on: the one that the system chose for port 0."""
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Accept no more connections, let running requests finish, then close."""
        self._server.close()
        await self._runner.cleanup()


async def serve(
    app: web.Application,
    address: Address,
    stop: Stop,
    *,
    connections: int = CONNECTIONS,
    proxies: TrustedProxies = NO_PROXIES,
    on_refused: Callable[[], None] = _ignore,
) -> None:
    """Serve the application until `stop`, then answer the running requests.

    Raises StartError when it cannot listen on the address.
    """
    listener = await listen(app, address, connections=connections, proxies=proxies, on_refused=on_refused)
    _log.info("serving", host=address.host, port=listener.port)
    try:
        await stop.wait()
        _log.info("stopping")
    finally:  # also when a background task has died: running requests still get their answers
        await listener.close()


async def listen(
    app: web.Application,
    address: Address,
    *,
    connections: int = CONNECTIONS,
    proxies: TrustedProxies = NO_PROXIES,
    on_refused: Callable[[], None] = _ignore,
) -> Listener:
    """Serve the application on up to `connections` connections, half of them for one IP.

    `proxies` may use all of them. Any beyond that only get their health checks answered; `on_refused` is
    called for each that finds all in use. Raises StartError when it cannot listen on the address.
    """
    # A connection needs a file descriptor: serve no more than this process may open.
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY:
        connections = max(1, min(connections, files - _OWN_FILES))
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        shutdown_timeout=_DRAIN_SECONDS,
    )
    await runner.setup()
    factory = protocol_factory(
        runner, app.get(FAST_PATHS, {}), ConnectionLimits(connections, proxies, on_refused), proxies
    )
    try:
        server = await _bind(factory, address)
    except OSError as error:
        await runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {address.port} on {address.host} is in use by another program; "
                "choose another with HEADRACE_PORT."
            ) from error
        raise StartError(
            f"cannot listen on {address.host} port {address.port}: {error.strerror or error}."
        ) from error
    return Listener(runner, server)


async def _bind(factory: Callable[[], asyncio.BaseProtocol], address: Address) -> asyncio.Server:
    """Listen on the address, or on its first spare port that is free."""
    last = address.port + address.spare_ports
    for port in range(address.port, last + 1):
        try:
            return await asyncio.get_running_loop().create_server(
                factory, address.host, port, backlog=_BACKLOG, reuse_port=address.is_shared or None
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == last:
                raise
    raise AssertionError("unreachable")  # pragma: no cover


async def _add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    add_cors_headers(request, response)
    add_allowance_headers(request, response)
    response.headers[REQUEST_ID] = request_id(request)
    # aiohttp adds its name and version by itself.
    response.headers.popall(hdrs.SERVER, None)
    response.headers.update(SECURITY_HEADERS)
