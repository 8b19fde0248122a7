"""Attackers with a client token: each is one function that does its worst until it is cancelled.

They are found by name in `ATTACKERS`. To add one, write a coroutine that takes the attack and register it
with `@attacker("what it does")`.
"""

import gzip
import json
import sys
import uuid
from collections.abc import Callable
from typing import Final

from loadtests.neighbours_run.attack import Attack, attacker

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MANY_CONNECTIONS: Final = 4_000


def log_event() -> bytes:
    """An ordinary small event with a reference id of its own."""
    return json.dumps({"type": "log", "message": "flood", "reference_id": uuid.uuid4().hex}).encode()


@attacker("a flood of events")
async def flood(attack: Attack) -> None:
    """One event in each post."""
    await attack.endlessly(lambda: attack.post(log_event()))


@attacker("a flood on 4,000 connections")
async def wide_flood(attack: Attack) -> None:
    """Each connection has a post in hand all the time."""
    await attack.endlessly(lambda: attack.post(log_event()), _MANY_CONNECTIONS)


@attacker("a flood of batches")
async def batches(attack: Attack) -> None:
    """Fifty events in each post, as a client with a backlog sends them."""
    await attack.endlessly(lambda: attack.post(b"[" + b",".join(log_event() for _ in range(50)) + b"]"))


@attacker("47 bytes of 100,000 events")
async def bombs(attack: Attack) -> None:
    """More events than a post of that size may hold."""
    await attack.endlessly(_always(attack.post(_empty_events(100_000), "zstd")))


@attacker("as many rows as a few bytes may hold")
async def rows(attack: Attack) -> None:
    """A thousand events in thirty bytes."""
    await attack.endlessly(_always(attack.post(_empty_events(1000), "zstd")))


@attacker("as many stacks as a post may hold")
async def stacks(attack: Attack) -> None:
    """Each event has a source of its own."""

    def post() -> bytes:
        events = [{"type": "log", "source": uuid.uuid4().hex[:12]} for _ in range(1000)]
        return attack.post(zstd.compress(json.dumps(events).encode()), "zstd")

    await attack.endlessly(post)


async def _slow_patterns(attack: Attack) -> None:
    patterns = ",".join(f"*{'ab' * length}*" for length in range(1, 98))
    path = f"projects/{attack.orders.project}/config?key=@@DataExclusions"
    await attack.call("POST", path, {"value": patterns[:10_000]})


@attacker("exclusions that match slowly", _slow_patterns)
async def exclusions(attack: Attack) -> None:
    """Patterns of many lengths, and posts full of names that almost match."""
    names = ",".join(f'"{number}{"ba" * 40}":1' for number in range(1_000))
    await attack.endlessly(_always(attack.post(f'{{"type":"log","data":{{"mine":{{{names}}}}}}}'.encode())))


@attacker("damaged gzip")
async def dead_letters(attack: Attack) -> None:
    """Each post is kept with its bytes."""
    body = b"\x1f\x8b" + gzip.compress(uuid.uuid4().bytes * 6_000, 0)[2:-8]
    await attack.endlessly(_always(attack.post(body, "gzip")))


@attacker("descriptions of events that never come")
async def descriptions(attack: Attack) -> None:
    """Each is kept for days."""
    text = json.dumps({"email_address": "a@example.com", "description": "x" * 1_900}).encode()
    await attack.endlessly(
        lambda: attack.post(text, path=f"events/by-ref/{uuid.uuid4().hex}/user-description")
    )


@attacker("strict posts that are costly to check")
async def strict_posts(attack: Attack) -> None:
    """A thousand faults in a few bytes."""
    body = b"[" + b",".join([b'{"value":"x"}'] * 1000) + b"]"
    await attack.endlessly(_always(attack.post(body, "", "events", "Prefer: handling=strict")))


def _empty_events(number: int) -> bytes:
    return zstd.compress(b"[" + b"{}," * (number - 1) + b"{}]")


def _always(request: bytes) -> Callable[[], bytes]:
    return lambda: request
