"""Attackers with a user token or none at all."""

import asyncio
import json
import uuid
from base64 import b64encode
from contextlib import suppress
from http import HTTPStatus
from itertools import cycle
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Final

from loadtests.neighbours_run.attack import ADDRESS, CONNECTIONS, Attack, attacker

_IDLE_CONNECTIONS: Final = 10_100
_SEARCHED: Final = 50_000
"""Events of the attacker, which each of its searches reads."""
_RESET: Final = pack("ii", 1, 0)


@attacker("tokens that do not exist")
async def unknown_tokens(attack: Attack) -> None:
    """Each needs a look-up, in ingest and in the api."""
    routes = cycle((("POST", "events"), ("GET", "projects")))

    def guess() -> bytes:
        method, path = next(routes)
        return attack.head(method, path, f"{uuid.uuid4().hex}{'x' * 8}", 0)

    await attack.endlessly(guess)


@attacker("wrong passwords by Basic")
async def wrong_passwords(attack: Attack) -> None:
    """Each would cost a tenth of a second of a core."""

    def attempt() -> bytes:
        basic = b64encode(f"{uuid.uuid4().hex}@example.com:wrong horse".encode()).decode()
        request = attack.head("GET", "projects", "", 0)
        return request.replace(b"Authorization: Bearer ", f"Authorization: Basic {basic}".encode(), 1)

    await attack.endlessly(attempt)


@attacker("idle connections")
async def idle_connections(attack: Attack) -> None:
    """More than the server serves, each opened again when it is closed."""

    async def hold() -> None:
        while True:
            with suppress(OSError):
                async with attack.connection() as (reader, _):
                    attack.counts.attacks += 1
                    await reader.read()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_IDLE_CONNECTIONS):
            tasks.create_task(hold())


@attacker("connections without end")
async def connections(attack: Attack) -> None:
    """Opened and closed as fast as the machine can, and never a request."""
    loop = asyncio.get_running_loop()

    async def connect() -> None:
        while True:
            with suppress(OSError):
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, *attack.address, local_addr=(ADDRESS, 0)
                )
                attack.counts.attacks += 1
                # Reset: closing in order would use up the ports of the address.
                transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
                transport.abort()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS * 8):
            tasks.create_task(connect())


async def _many_events(attack: Attack) -> None:
    """Post what is searched, and wait until it is stored."""
    text = "lorem ipsum dolor " * 50
    for first in range(0, _SEARCHED, 100):
        events = [{"type": "log", "message": f"{number} {text}"} for number in range(first, first + 100)]
        await attack.send(attack.post(json.dumps(events).encode()))
    # Within the time that preparing may take.
    while (await attack.call("GET", "events/count"))["total"] < _SEARCHED:  # noqa: ASYNC110 - by the worker
        await asyncio.sleep(1)


@attacker("searches that take long", _many_events)
async def searches(attack: Attack) -> None:
    """Words that no event has, in every field of every event of its organization."""
    words = "%20OR%20".join(f"*{uuid.uuid4().hex[:6]}*" for _ in range(50))
    request = attack.head("GET", f"events?include=total&filter={words}", attack.orders.user_token, 0)
    await attack.endlessly(lambda: request)


@attacker("large filters to check")
async def filters(attack: Attack) -> None:
    """As many words as a filter may have."""
    words = "%20OR%20".join(f"*{uuid.uuid4().hex[:6]}*" for _ in range(200))
    request = attack.head("GET", f"search/validate?query={words}", attack.orders.user_token, 0)
    await attack.endlessly(lambda: request, 500)


@attacker("metrics on 2,000 connections")
async def metrics(attack: Attack) -> None:
    """The page that costs most of those that need no token."""
    request = b"GET /metrics HTTP/1.1\r\nHost: victim\r\n\r\n"
    await attack.endlessly(lambda: request, 2_000)


@attacker("settings that fill Redis")
async def settings(attack: Attack) -> None:
    """Legal settings in one project after the other."""
    value = {"value": "x" * 9_000}
    while True:
        new = {"organization_id": attack.orders.organization, "name": f"settings {uuid.uuid4()}"}
        project = await attack.call("POST", "projects", new)
        if not isinstance(project, dict) or "id" not in project:
            project = {"id": attack.orders.project}
        for key in range(30):
            if await attack.call("POST", f"projects/{project['id']}/config?key=k{key}", value) == (
                HTTPStatus.NOT_FOUND
            ):
                break
