"""Whether ingest can keep its promise: the queue answers, takes and keeps writes, is bounded, has our tokens.

One look at the queue's server tells, twice a second, and all of it whenever somebody asks for the readiness.
"""

import asyncio
import shutil
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, Literal

import structlog
from redis.asyncio import Redis

from collector.broker.durability import Durability, durability_of
from collector.broker.errors import BrokerFull, BrokerUnavailable, translated
from collector.broker.queue_load import QueueLoad, check_writable, queue_load
from collector.broker.shards import Shards
from collector.broker.token_projection import TokenProjection, is_fresh
from collector.domain.reasons import (
    CLOCK,
    DURABILITY,
    MEMORY_LIMIT,
    QUEUE_UNAVAILABLE,
    REASONS,
    TOKENS,
    Reason,
)
from collector.http.health import Check
from collector.ingest.backpressure import Backpressure
from collector.process.clock import Clock
from collector.process.lifecycle import cancelled
from collector.process.metrics import IngestMetrics

LOOK_SECONDS: Final = 0.5
CLOCK_SKEW_SECONDS: Final = 300.0
"""Ids carry this process's time; leaves, ages and retention go by it."""

_WHOLE_ONE_IN: Final = 4
_ANSWER_SECONDS: Final = 2.5
"""How long somebody who asks waits for a look; then the last one stands."""
_NO_LIMIT: Final = "set maxmemory, and maxmemory-policy noeviction, on the queue's server"
_HIDDEN_LIMIT: Final = (
    "INFO does not tell it; let our user run INFO and CONFIG GET, or use a server that tells its maxmemory"
)
_RELAXED: Final = "(HEADRACE_DURABILITY=relaxed accepts less)"

_log = structlog.get_logger()


class Readiness:
    """Finds out which reasons for refusing posts hold."""

    def __init__(
        self,
        redis: Redis,
        shards: Shards,
        clock: Clock,
        metrics: IngestMetrics,
        backpressure: Backpressure,
        *,
        durability: Literal["strict", "relaxed"],
    ) -> None:
        self._redis = redis
        self._shards = shards
        self._keys = keys = shards.keys
        self._projection = TokenProjection(redis, keys)
        self._clock = clock
        self._metrics = metrics
        self._backpressure = backpressure
        self._reasons = backpressure.reasons
        self._is_strict = durability == "strict"
        self._disk = backpressure.disk
        self._looking: asyncio.Task[None] | None = None
        self._is_whole = True
        self._durability: Durability | None = None

    @property
    def checks(self) -> dict[str, Check]:
        """One for each reason, by name, for the health route."""
        return {reason.name: partial(self._check, reason) for reason in REASONS}

    async def keep_looking(self) -> None:
        """Look twice a second, for ever, whatever a look meets."""
        for number in count():
            await self.look(is_whole=number % _WHOLE_ONE_IN == 0)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, *, is_whole: bool = True) -> None:
        """Look once; who asks meanwhile shares it. While the queue cannot be asked, the last look stands.

        Only a whole one looks at what seldom changes: durability, tokens and the clock.
        """
        while self._looking is not None and not self._looking.done():
            is_enough = self._is_whole or not is_whole
            await asyncio.wait([self._looking])
            if is_enough:
                return
        self._is_whole = is_whole
        self._looking = asyncio.create_task(self._look())
        await asyncio.wait([self._looking])

    async def close(self) -> None:
        """End a look under way."""
        if self._looking is not None:
            await cancelled(self._looking)

    async def _check(self, reason: Reason) -> str | None:
        with suppress(TimeoutError):  # the look goes on, and its own time-out makes the queue unavailable
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self.look()
        return self._reasons.problem(reason)

    async def _look(self) -> None:
        """Raises nothing: whatever is wrong is a reason, or counted and logged."""
        self._reasons.expire()
        try:
            await self._look_at_disk()
            await self._look_at_queue()
        except BrokerUnavailable as error:
            self._reasons.put(QUEUE_UNAVAILABLE, str(error))
        except Exception:  # noqa: BLE001 - the loop must survive; counted and logged
            self._metrics.background_failures.labels("readiness").inc()
            _log.exception("a look at the queue failed")
        else:
            self._reasons.put(QUEUE_UNAVAILABLE, None)

    async def _look_at_queue(self) -> None:
        load = await queue_load(self._redis, self._keys, self._shards.in_use)
        if self._is_whole or self._durability is None:
            self._durability = await durability_of(self._redis)
            self._judge_durability(self._durability)
            await self._look_at_tokens_and_clock()
        load = load.bounded_by(self._durability.maxmemory_bytes)
        self._reasons.put(MEMORY_LIMIT, self._unbounded(load))
        try:
            await check_writable(self._redis, self._keys)
        except BrokerFull:
            self._backpressure.observe(load, is_over=True)
        else:
            self._backpressure.observe(load)

    async def _look_at_disk(self) -> None:
        if self._disk is not None:
            self._backpressure.observe_disk(await asyncio.to_thread(_free_bytes, self._disk))

    def _judge_durability(self, found: Durability) -> None:
        """A 202 is as good as the fsync behind it."""
        self._metrics.durability.clear()
        self._metrics.durability.labels(found.fsync).set(1)
        kept = found.keeps_promise or not self._is_strict
        self._reasons.put(
            DURABILITY,
            None
            if kept
            else f"appendfsync is {found.fsync} and the eviction policy {found.eviction}; the promise needs "
            f"appendonly yes, appendfsync always and noeviction {_RELAXED}",
        )

    def _unbounded(self, load: QueueLoad) -> str | None:
        """Without a limit there is no backpressure: the queue's machine would run out of memory."""
        if not self._is_strict or (load.limit_bytes and load.shows_memory):
            return None
        return f"{_NO_LIMIT if load.shows_memory else _HIDDEN_LIMIT} {_RELAXED}"

    async def _look_at_tokens_and_clock(self) -> None:
        """Unknown tokens are told from unswept ones only while the projection is fresh."""
        age = await self._projection.swept_seconds_ago()
        with translated():
            seconds, micros = await self._redis.time()
        if age is not None:
            self._metrics.projection_age_seconds.set(age)
        self._reasons.put(TOKENS, _stale(age))
        skew = self._clock.now_ms() / 1000 - (seconds + micros / 1e6)
        self._metrics.clock_skew_seconds.set(skew)
        self._reasons.put(CLOCK, f"{skew:.0f} seconds" if abs(skew) > CLOCK_SKEW_SECONDS else None)


def _stale(age: float | None) -> str | None:
    if age is None:
        return "it has not been swept yet"
    return None if is_fresh(age) else f"it was last swept {age:.0f} seconds ago"


def _free_bytes(folder: Path) -> int | None:
    """What is left for the server's user; None when the folder cannot be seen."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
