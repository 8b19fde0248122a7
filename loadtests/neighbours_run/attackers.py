"""Attackers with a client token: each is one function that does its worst until it is cancelled.

They are found by name in `ATTACKERS`. To add one, write a coroutine that takes the scene and register it with
`@attacker("what it does")`.
"""

import asyncio
import gzip
import json
import sys
import uuid
from collections.abc import Callable
from typing import Final

from loadtests.neighbours_run.scene import Attacker, Scene

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ATTACKERS: Final[dict[str, Attacker]] = {}
TOGETHER: Final = 32
"""Connections of an attacker."""


def attacker(name: str) -> Callable[[Attacker], Attacker]:
    """Register an attacker under a name."""

    def register(function: Attacker) -> Attacker:
        ATTACKERS[name] = function
        return function

    return register


async def _together(scene: Scene, body: Callable[[], bytes], encoding: str = "") -> None:
    """Post without a pause on all connections."""

    async def endless() -> None:
        while True:
            status = await scene.attack(body(), encoding)
            if not status:
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(TOGETHER):
            tasks.create_task(endless())


def _log() -> bytes:
    return json.dumps({"type": "log", "message": "flood", "reference_id": uuid.uuid4().hex}).encode()


@attacker("a flood of events")
async def flood(scene: Scene) -> None:
    """One event in each post."""
    await _together(scene, _log)


@attacker("a flood of batches")
async def batches(scene: Scene) -> None:
    """Fifty events in each post, as a client with a backlog sends them."""
    await _together(scene, lambda: b"[" + b",".join(_log() for _ in range(50)) + b"]")


@attacker("47 bytes of 100,000 events")
async def bombs(scene: Scene) -> None:
    """More events than a post of that size may hold."""
    body = zstd.compress(b"[" + b"{}," * 99_999 + b"{}]")
    await _together(scene, lambda: body, "zstd")


@attacker("as many rows as a few bytes may hold")
async def rows(scene: Scene) -> None:
    """A thousand events in thirty bytes."""
    body = zstd.compress(b"[" + b"{}," * 999 + b"{}]")
    await _together(scene, lambda: body, "zstd")


@attacker("as many stacks as a post may hold")
async def stacks(scene: Scene) -> None:
    """Each event has a source of its own."""

    def body() -> bytes:
        events = [{"type": "log", "source": uuid.uuid4().hex[:12]} for _ in range(1000)]
        return zstd.compress(json.dumps(events).encode())

    await _together(scene, body, "zstd")


@attacker("exclusions that match slowly")
async def exclusions(scene: Scene) -> None:
    """Patterns of many lengths, and posts full of names that almost match."""
    patterns = ",".join(f"*{'ab' * length}*" for length in range(1, 98))
    path = f"projects/{scene.attacker_project}/config?key=@@DataExclusions"
    await scene.call("POST", path, {"value": patterns[:10_000]})
    names = ",".join(f'"{number}{"ba" * 40}":1' for number in range(1_000))
    body = f'{{"type":"log","data":{{"mine":{{{names}}}}}}}'.encode()
    await _together(scene, lambda: body)


@attacker("settings that fill Redis")
async def settings(scene: Scene) -> None:
    """Legal settings in one project after the other."""
    while True:
        project = await scene.call(
            "POST",
            "projects",
            {"organization_id": scene.attacker_organization, "name": f"settings {uuid.uuid4()}"},
        )
        if not isinstance(project, dict) or "id" not in project:
            await asyncio.sleep(0.05)
            continue
        for key in range(30):
            scene.result.attacks += 1
            await scene.call("POST", f"projects/{project['id']}/config?key=k{key}", {"value": "x" * 9_000})


@attacker("damaged gzip")
async def dead_letters(scene: Scene) -> None:
    """Each post is kept with its bytes."""
    body = b"\x1f\x8b" + gzip.compress(uuid.uuid4().bytes * 6_000, 0)[2:-8]
    await _together(scene, lambda: body, "gzip")


@attacker("descriptions of events that never come")
async def descriptions(scene: Scene) -> None:
    """Each is kept for days."""
    text = json.dumps({"email_address": "a@example.com", "description": "x" * 1_900}).encode()

    async def endless() -> None:
        while True:
            path = f"events/by-ref/{uuid.uuid4().hex}/user-description"
            if not await scene.attack(text, "", path):
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(TOGETHER):
            tasks.create_task(endless())
