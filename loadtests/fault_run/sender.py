"""Senders for crash tests.

They send posts of every kind, a few at a time, to all ingest processes, and repeat them as clients do.
"""

import asyncio
import json
import random
import zlib
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import aiohttp

from loadtests.fault_run.auditor import Answer, Auditor, Kind, Sent, contents

ACCEPTED: Final = 202
REPEATED: Final = 503

_KINDS: Final = (Kind.EVENT, Kind.EVENT, Kind.REFERENCED, Kind.REFERENCED, Kind.OLD, Kind.DAMAGED)
_EVENTS_AT_MOST: Final = 20
_USERS: Final = 40
_REPEATS: Final = 0.1
_REMEMBERED: Final = 200
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
_PAUSE_SECONDS: Final = 0.1
_DAMAGED: Final = b"\x1f\x8bdamaged "


@dataclass(frozen=True, slots=True)
class IngestTarget:
    """Where posts go, and their token."""

    url: str
    token: str


@dataclass(slots=True)
class Senders:
    """Send until stopped.

    `answers` counts statuses, 0 for none; `refused` is what clients would drop, `reasons` the 503s' titles.
    """

    auditor: Auditor
    ingest_processes: Sequence[IngestTarget]
    seed: int
    answers: Counter[int] = field(default_factory=Counter)
    accepted_by: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    _numbers: "count[int]" = field(default_factory=count)
    _accepted: deque[tuple[Sent, bytes]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _is_over: bool = False

    async def run(self, senders: int, posts_per_second: float) -> None:
        """Send until `stop` is called, and return once all requests in flight are answered."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, asyncio.TaskGroup() as tasks:
            for number in range(senders):
                tasks.create_task(self._send_on(session, number, senders / posts_per_second))

    def stop(self) -> None:
        """Start no new posts and repeat none."""
        self._is_over = True

    async def _send_on(self, session: aiohttp.ClientSession, number: int, pause_seconds: float) -> None:
        chance = random.Random(f"{self.seed}-{number}")
        while not self._is_over:
            await self._send(session, chance)
            await asyncio.sleep(chance.uniform(0, 2 * pause_seconds))

    async def _send(self, session: aiohttp.ClientSession, chance: random.Random) -> None:
        """Send a new post, or repeat one that was accepted a while ago."""
        if self._accepted and chance.random() < _REPEATS:
            sent, body = chance.choice(self._accepted)
        else:
            sent, body = self._new_post(chance.choice(_KINDS), chance)
        while True:
            answer = await self._post(session, chance.choice(self.ingest_processes), sent.kind, body)
            sent.answers.append(answer)
            if answer is Answer.ACCEPTED or sent.kind is not Kind.REFERENCED or self._is_over:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        if sent.kind is Kind.REFERENCED:
            self._accepted.append((sent, body))

    def _new_post(self, kind: Kind, chance: random.Random) -> tuple[Sent, bytes]:
        """Make a post, and record it before it is sent."""
        marks = [f"{self.seed}-{next(self._numbers)}" for _ in range(chance.choice((1, 1, _EVENTS_AT_MOST)))]
        if kind is Kind.DAMAGED:
            body = _DAMAGED + marks[0].encode()
            return self.auditor.remember(kind, [body.decode("latin-1")]), body
        if kind is Kind.EVENT and chance.random() < 0.5:  # noqa: PLR2004 - half of them
            return self.auditor.remember(kind, marks, is_text=True), "\n".join(marks).encode()
        return self.auditor.remember(kind, marks), json.dumps([_event(kind, mark) for mark in marks]).encode()

    async def _post(
        self, session: aiohttp.ClientSession, ingest: IngestTarget, kind: Kind, body: bytes
    ) -> Answer:
        headers = {"Authorization": f"Bearer {ingest.token}", "Content-Type": "application/json"}
        if kind is Kind.DAMAGED:
            headers["Content-Encoding"] = "gzip"
        status = 0
        try:
            async with session.post(f"{ingest.url}/api/v2/events", data=body, headers=headers) as response:
                status = response.status
                text = await response.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            text = str(error)
        self.answers[status] += 1
        if status == ACCEPTED:
            self.accepted_by[ingest.url] += 1
            return Answer.ACCEPTED
        if status == REPEATED:
            self.reasons[json.loads(text)["title"]] += 1
        if status not in {0, REPEATED}:
            self.refused.append(f"{status}: {text[:200]}")
        return Answer.UNKNOWN


def _event(kind: Kind, mark: str) -> dict[str, object]:
    user = {"identity": f"user-{zlib.crc32(mark.encode()) % _USERS}"}
    event: dict[str, object] = {
        "type": "log",
        "message": mark,
        "data": {"@user": user, "contents": contents(mark)},
    }
    if kind is Kind.REFERENCED:
        event["reference_id"] = f"reference-{mark}"
    if kind is Kind.OLD:
        event["date"] = "1999-01-01T00:00:00Z"
    return event
