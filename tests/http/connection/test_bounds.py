"""Limits on connections, and errors outside an application's handlers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web

from collector.http.client_address import trusted_proxies
from collector.http.connection import bounds
from collector.http.connection.bounds import unread_bytes
from collector.http.responses import json_response
from collector.http.server import Address, Listener, application, listen
from collector.process.lifecycle import StartError
from tests.support.waiting import until

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


async def _hello(_request: web.Request) -> web.Response:
    return json_response({"hello": "world"})


async def _broken(_request: web.Request) -> web.Response:
    raise ValueError("a secret detail")


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """An application on at most two connections."""
    app = application()
    app.router.add_get("/hello", _hello)
    app.router.add_get("/broken", _broken)
    proxies = trusted_proxies(["127.0.0.0/8"], "x-forwarded-for")  # which may use all connections
    running = await listen(app, Address("127.0.0.1", 0), connections=2, proxies=proxies)
    yield running
    await running.close()


async def _open(listener: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", listener.port)


async def test_a_connection_beyond_the_limit_is_answered_503_and_closed(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others continue; when one closes, a new one is accepted."""
    monkeypatch.setattr(bounds, "HEALTH_REQUEST_SECONDS", 0.05)
    async with asyncio.timeout(10):
        first, second = await _open(listener), await _open(listener)
        for reader, writer in (first, second):
            writer.write(GET)
            assert b"200 OK" in await reader.readuntil(b"\r\n")
        third_reader, third = await _open(listener)
        answer = await third_reader.read()
        third.close()
        second[1].close()
        await second[1].wait_closed()
        first[1].write(GET)
        assert b"hello" in await first[0].readuntil(b'"}')
        again_reader, again = await _open(listener)
        again.write(GET)
        assert b"200 OK" in await again_reader.readuntil(b"\r\n")
        again.close()
        first[1].close()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in answer
    assert answer.endswith(b'"status":503}')
    assert b"Content-Length: %d\r\n" % len(answer.partition(b"\r\n\r\n")[2]) in answer


@pytest.mark.parametrize("said", [b"", b"GET /hel"], ids=["nothing", "half a line"])
async def test_a_new_connection_without_a_request_is_closed(
    listener: Listener, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow request heads must not hold connections open."""
    monkeypatch.setattr(bounds, "FIRST_REQUEST_SECONDS", 0.05)
    reader, writer = await _open(listener)
    writer.write(said)

    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_an_unexpected_error_in_a_handler_is_problem_json_without_details(listener: Listener) -> None:
    """A 500 reveals nothing internal."""
    reader, writer = await _open(listener)
    writer.write(b"GET /broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"application/problem+json" in answer
    assert b"secret detail" not in answer
    assert b"aiohttp" not in answer


async def test_a_port_in_use_stops_the_start_with_one_line(listener: Listener) -> None:
    """It names the setting."""
    with pytest.raises(StartError, match=f"port {listener.port} on 127.0.0.1 is in use"):
        await listen(application(), Address("127.0.0.1", listener.port))


async def test_the_first_free_one_of_several_ports_is_used(listener: Listener) -> None:
    """So that several workers need no port to be set."""
    second = await listen(application(), Address("127.0.0.1", listener.port, spare_ports=50))

    assert listener.port < second.port <= listener.port + 50
    await second.close()


async def test_an_address_of_another_machine_stops_the_start_with_one_line() -> None:
    """192.0.2.1 is reserved for documentation."""
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        await listen(application(), Address("192.0.2.1", 0))


async def test_a_block_is_cancelled_when_the_client_disconnects() -> None:
    """The rest of the handler still runs."""
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def search(request: web.Request) -> web.Response:
        try:
            with bounds.cancel_on_disconnect(request):
                seen.put_nowait("begun")
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.put_nowait("cancelled")
        seen.put_nowait("tidied up")
        return json_response({})

    app = application()
    app.router.add_get("/search", search)
    running = await listen(app, Address("127.0.0.1", 0))
    async with asyncio.timeout(10):
        _, writer = await _open(running)
        writer.write(b"GET /search HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await seen.get() == "begun"
        writer.close()
        assert [await seen.get(), await seen.get()] == ["cancelled", "tidied up"]
        await running.close()


async def test_a_block_that_begins_after_the_client_has_disconnected_is_cancelled() -> None:
    """The handler was waiting for something else meanwhile."""
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def search(request: web.Request) -> web.Response:
        seen.put_nowait("arrived")
        await until(lambda: request.transport is None)
        try:
            with bounds.cancel_on_disconnect(request):
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.put_nowait("cancelled")
        return json_response({})

    app = application()
    app.router.add_get("/search", search)
    running = await listen(app, Address("127.0.0.1", 0))
    async with asyncio.timeout(10):
        _, writer = await _open(running)
        writer.write(b"GET /search HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await seen.get() == "arrived"
        writer.close()
        assert await seen.get() == "cancelled"
        await running.close()


@pytest.fixture
async def large_answers() -> AsyncIterator[tuple[Listener, list[web.Request]]]:
    """An application whose answer is more than the buffers on its way take, and the requests it has had."""
    requests: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request)
        return web.Response(body=b"x" * 20_000_000)

    app = application()
    app.router.add_get("/large", answer)
    running = await listen(app, Address("127.0.0.1", 0))
    yield running, requests
    await running.close()


async def test_a_client_that_stops_reading_is_disconnected(
    large_answers: tuple[Listener, list[web.Request]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer does not stay in memory."""
    monkeypatch.setattr(bounds, "STALLED_SECONDS", 0.05)
    listener, requests = large_answers
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")

    await until(lambda: bool(requests) and requests[0].transport is None)
    writer.close()


async def test_a_client_that_reads_slowly_gets_its_answer(
    large_answers: tuple[Listener, list[web.Request]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read something at each check."""
    listener, requests = large_answers
    client = socket.create_connection(("127.0.0.1", listener.port))
    client.settimeout(0)
    received = bytearray()
    looks = 0

    def read_then_look(transport: asyncio.WriteTransport) -> int:
        nonlocal looks
        looks += 1
        with suppress(BlockingIOError):
            while piece := client.recv(65_536):
                received.extend(piece)
        return unread_bytes(transport)

    monkeypatch.setattr(bounds, "STALLED_SECONDS", 0.01)
    monkeypatch.setattr(bounds, "unread_bytes", read_then_look)
    client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await until(lambda: bool(requests) and requests[0].transport is None)
    with client:
        while piece := await asyncio.get_running_loop().sock_recv(client, 65_536):
            received.extend(piece)

    assert len(received) > 20_000_000
    assert looks > 2


async def test_reading_a_little_counts_as_progress(large_answers: tuple[Listener, list[web.Request]]) -> None:
    """Also while the kernel still has enough to send and does not ask for more."""
    listener, requests = large_answers
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    transport = requests[0].transport
    assert transport is not None
    before = await _settled(transport)

    await reader.readexactly(700_000)
    await until(lambda: bounds.unread_bytes(transport) < before)
    assert bounds.unread_bytes(transport) > 15_000_000
    writer.close()


async def _settled(transport: asyncio.WriteTransport) -> int:
    """How much is unread once the buffers on the way are full."""
    seen = [20_000_000]

    def is_settled() -> bool:
        seen.append(bounds.unread_bytes(transport))
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    await until(is_settled)
    return seen[-1]
