"""Attackers with a user token or none at all.

They come from an IP of their own in the loopback network: bounds by IP would count the victim with them.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from loadtests.neighbours_run.attackers import TOGETHER, attacker
from loadtests.neighbours_run.scene import Scene

_ADDRESS: Final = ("127.0.0.2", 0)
_IDLE_CONNECTIONS: Final = 10_100
_SEARCHED: Final = 50_000
"""Events of the attacker, which each of its searches reads."""
_PAUSE_SECONDS: Final = 0.01


@attacker("tokens that do not exist")
async def unknown_tokens(scene: Scene) -> None:
    """Each needs a look-up, in ingest and in the api."""

    async def guess(session: aiohttp.ClientSession) -> int:
        headers = {"Authorization": f"Bearer {uuid.uuid4().hex}{'x' * 8}"}
        for method, path in (("POST", "events"), ("GET", "projects")):
            async with session.request(method, _url(scene, path), headers=headers, json={}) as answer:
                status = answer.status
        return status

    await _endlessly(scene, guess)


@attacker("wrong passwords by Basic")
async def wrong_passwords(scene: Scene) -> None:
    """Each would cost a tenth of a second of a core."""

    async def attempt(session: aiohttp.ClientSession) -> int:
        auth = aiohttp.BasicAuth(f"{uuid.uuid4().hex}@example.com", "wrong horse")
        async with session.get(_url(scene, "projects"), auth=auth) as answer:
            return answer.status

    await _endlessly(scene, attempt)


@attacker("idle connections")
async def idle_connections(scene: Scene) -> None:
    """More than the server serves, each opened again when it is closed."""
    address = urlsplit(scene.ready.url)

    async def hold() -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    address.hostname, address.port, local_addr=_ADDRESS
                )
                scene.result.attacks += 1
                with suppress(OSError):
                    await reader.read()
                writer.close()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_IDLE_CONNECTIONS):
            tasks.create_task(hold())


@attacker("searches that take long")
async def searches(scene: Scene) -> None:
    """Words that no event has, in every field of every event of its organization."""
    body = b"[" + b",".join(_log(number) for number in range(1000)) + b"]"
    for _ in range(_SEARCHED // 1000):
        await scene.attack(body)
    words = "%20OR%20".join(f"*{uuid.uuid4().hex[:6]}*" for _ in range(50))
    headers = {"Authorization": f"Bearer {scene.attacker_user_token}"}

    async def search(session: aiohttp.ClientSession) -> int:
        url = _url(scene, f"events?include=total&filter={words}")
        async with session.get(url, headers=headers) as answer:
            return answer.status

    await _endlessly(scene, search)


@attacker("strict posts that are costly to check")
async def strict_posts(scene: Scene) -> None:
    """A thousand faults in a few bytes."""
    body = b"[" + b",".join([b'{"value":"x"}'] * 1000) + b"]"
    headers = {
        "Authorization": f"Bearer {scene.attacker_token}",
        "Content-Type": "application/json",
        "Prefer": "handling=strict",
    }

    async def post(session: aiohttp.ClientSession) -> int:
        async with session.post(_url(scene, "events"), data=body, headers=headers) as answer:
            return answer.status

    await _endlessly(scene, post)


def _log(number: int) -> bytes:
    return b'{"type":"log","message":"%d %s"}' % (number, b"lorem ipsum dolor " * 50)


async def _endlessly(
    scene: Scene, request: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, int]]
) -> None:
    """Repeat the request on all connections; a lost one or a time-out costs a pause."""

    async def endless(session: aiohttp.ClientSession) -> None:
        while True:
            scene.result.attacks += 1
            try:
                await request(session)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_PAUSE_SECONDS)

    async with _stranger() as session, asyncio.TaskGroup() as tasks:
        for _ in range(TOGETHER):
            tasks.create_task(endless(session))


@asynccontextmanager
async def _stranger() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, local_addr=_ADDRESS)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


def _url(scene: Scene, path: str) -> str:
    return f"{scene.ready.url}/api/v2/{path}"
