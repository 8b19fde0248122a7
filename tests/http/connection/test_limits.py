"""Connections are shared: none for all, the idle ones first to go, and health is answered in any case."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from collector.http.client_address import NO_PROXIES, TrustedProxies, trusted_proxies
from collector.http.connection import limits
from collector.http.connection.limits import ConnectionLimits
from collector.http.health import add_health
from collector.http.responses import json_response
from collector.http.server import Address, application, listen


class Client:
    """A connection from one of the addresses of this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def get(self, path: str) -> str:
        """The first line of the answer; empty if the connection has been closed."""
        self.send(path)
        return await self.answer()

    def send(self, path: str) -> None:
        """Send a request."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    async def answer(self) -> str:
        """The first line of the next answer."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return ""
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return head.partition(b"\r\n")[0].decode().removeprefix("HTTP/1.1 ")

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class Serving:
    """A server with a route that waits until it may go on."""

    def __init__(self) -> None:
        self.port = 0
        self.refused = 0
        self.arrived = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.clients: list[Client] = []

    async def connect(self, ip: str = "127.0.0.2") -> Client:
        """A connection from this address."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(ip, 0)))
        self.clients.append(client)
        return client

    async def use(self, ip: str = "127.0.0.2") -> Client:
        """A connection from this address that was served."""
        client = await self.connect(ip)
        assert await client.get("/hello") == "200 OK"
        return client

    def count_refused(self) -> None:
        """Count a connection that was refused because all are in use."""
        self.refused += 1


@asynccontextmanager
async def serving(connections: int, proxies: TrustedProxies = NO_PROXIES) -> AsyncIterator[Serving]:
    """A server with this limit of connections."""
    server = Serving()

    async def hello(_request: web.Request) -> web.Response:
        return json_response({"hello": "world"})

    async def wait(_request: web.Request) -> web.Response:
        server.arrived.set()
        await server.may_go_on.wait()
        return json_response({})

    app = application()
    app.router.add_get("/hello", hello)
    app.router.add_get("/wait", wait)
    add_health(app, {}, CollectorRegistry())
    listener = await listen(
        app,
        Address("127.0.0.1", 0),
        connections=connections,
        proxies=proxies,
        on_refused=server.count_refused,
    )
    server.port = listener.port
    try:
        async with asyncio.timeout(10):
            yield server
    finally:
        for client in server.clients:
            await client.close()
        await listener.close()


@pytest.fixture
def immediately_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection counts as idle as soon as nothing is being answered on it."""
    monkeypatch.setattr(limits, "_IDLE_SECONDS", -1.0)


async def test_one_ip_gets_half_of_the_connections() -> None:
    """Others still get theirs, and that is no reason not to be ready."""
    async with serving(4) as server:
        for _ in range(2):
            await server.use("127.0.0.2")
        beyond = await server.connect("127.0.0.2")
        assert await beyond.get("/hello") == "503 Service Unavailable"

        for _ in range(2):
            await server.use("127.0.0.3")
        assert server.refused == 0


async def test_a_trusted_proxy_may_use_all_connections() -> None:
    """All clients come through it."""
    async with serving(4, trusted_proxies(["127.0.0.2"], "x-forwarded-for")) as server:
        for _ in range(4):
            await server.use("127.0.0.2")
        beyond = await server.connect("127.0.0.2")
        assert await beyond.get("/hello") == "503 Service Unavailable"
        assert server.refused == 1


@pytest.mark.usefixtures("immediately_idle")
async def test_the_connection_that_was_idle_longest_is_closed_for_a_new_one() -> None:
    """A request that is being answered is not disturbed."""
    async with serving(3) as server:
        busy = await server.connect("127.0.0.2")
        busy.send("/wait")
        await server.arrived.wait()
        first, second = await server.use("127.0.0.3"), await server.use("127.0.0.4")
        assert await first.get("/hello") == "200 OK"

        await server.use("127.0.0.5")

        assert await second.get("/hello") == ""
        assert await first.get("/hello") == "200 OK"
        server.may_go_on.set()
        assert await busy.answer() == "200 OK"
        assert server.refused == 0


@pytest.mark.usefixtures("immediately_idle")
async def test_an_ip_with_its_half_loses_its_own_idle_connections() -> None:
    """Not those of others."""
    async with serving(4) as server:
        other = await server.use("127.0.0.3")
        mine = [await server.use("127.0.0.2") for _ in range(3)]

        assert await mine[0].get("/hello") == ""
        assert await mine[1].get("/hello") == "200 OK"
        assert await other.get("/hello") == "200 OK"


async def test_health_is_answered_while_all_connections_are_in_use() -> None:
    """Everything else is refused there, with a Retry-After."""
    async with serving(2) as server:
        for ip in ("127.0.0.2", "127.0.0.3"):
            await server.use(ip)
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            health = await server.connect("127.0.0.4")
            assert await health.get(path) == "200 OK"
            assert await health.get(path) == "200 OK"
            assert await health.get("/hello") == "503 Service Unavailable"
            assert await health.get(path) == ""


async def test_silent_connections_do_not_use_up_those_for_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is closed for another one, and one IP can have only some of them."""
    monkeypatch.setattr(limits, "HEALTH_CONNECTIONS", 4)
    monkeypatch.setattr(limits, "HEALTH_CONNECTIONS_PER_IP", 2)
    async with serving(2) as server:
        for ip in ("127.0.0.2", "127.0.0.3"):
            await server.use(ip)
        silent = [await server.connect(f"127.0.1.{number}") for number in range(20) for _ in range(3)]
        health = await server.connect("127.0.0.4")

        assert await health.get("/health/live") == "200 OK"
        assert await silent[2].answer() == "503 Service Unavailable"
        assert await silent[0].answer() == ""


class _Idle:
    """A connection that has been idle since then."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.is_closed = False

    def idle_since(self) -> float:
        return self.since

    def force_close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("proxy", ["127.0.0.1", "127.0.0.2"])
async def test_nothing_is_left_of_closed_connections(proxy: str) -> None:
    """Also of those for health, and of a proxy's."""
    counted = ConnectionLimits(3, trusted_proxies([proxy], "x-forwarded-for"), _no_matter)
    added: list[Callable[[limits.Connection, str], bool]] = [counted.add, counted.add_for_health]
    for add in added:
        connection = _Idle(0)
        assert add(connection, "127.0.0.2")
        counted.remove(connection)
        counted.remove(connection)

    assert not counted._open
    assert not counted._ips
    assert not counted._for_health
    assert not counted._health_ips


async def test_many_idle_connections_are_closed_together() -> None:
    """So they are looked for once in a while, not for each new connection."""
    now = asyncio.get_running_loop().time()
    counted = ConnectionLimits(1000, NO_PROXIES, _no_matter)
    idle = [_Idle(now - 10 - number) for number in range(1000)]
    for number, connection in enumerate(idle):
        assert counted.add(connection, f"10.0.{number % 100}.1")

    assert counted.add(_Idle(now), "10.1.0.1")

    assert [connection.is_closed for connection in idle] == [False] * 990 + [True] * 10


def _no_matter() -> None:
    """Do nothing about a refused connection."""
