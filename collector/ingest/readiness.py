"""Whether ingest can keep its promise: the queue answers, keeps writes, is bounded, has our tokens.

Checks the queue's server twice a second, and completely for each request of the readiness route.
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

from collector.broker.durability import Durability, read_durability
from collector.broker.errors import BrokerFull, BrokerUnavailable, translated
from collector.broker.queue.queue_load import check_writable, queue_load
from collector.broker.queue.shards import Shards
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

CHECK_SECONDS: Final = 0.5
CLOCK_SKEW_SECONDS: Final = 300.0
"""Ids carry this process's time, which decides partitions, ages and retention."""

_COMPLETE_EVERY: Final = 4
_ANSWER_SECONDS: Final = 2.5
"""How long a request of the readiness route waits for a check; after that it gets the last result."""
_NO_LIMIT: Final = "set maxmemory, and maxmemory-policy noeviction, on the queue's server"
_HIDDEN_LIMIT: Final = (
    "INFO does not report it; allow our user INFO and CONFIG GET, or use a server that reports its maxmemory"
)
_RELAXED: Final = "(HEADRACE_DURABILITY=relaxed accepts less)"

_log = structlog.get_logger()


class Readiness:
    """Finds out which reasons for refusing posts are active."""

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
        self._running: asyncio.Task[None] | None = None
        self._is_complete = True
        self._durability: Durability | None = None

    @property
    def checks(self) -> dict[str, Check]:
        """A check for each reason, by name, for the health route."""
        return {reason.name: partial(self._check_reason, reason) for reason in REASONS}

    async def keep_checking(self) -> None:
        """Check twice a second until cancelled."""
        for number in count():
            await self.check(is_complete=number % _COMPLETE_EVERY == 0)
            await asyncio.sleep(CHECK_SECONDS)

    async def check(self, *, is_complete: bool = True) -> None:
        """Check once; concurrent callers share the check. If the queue is unreachable, earlier results stay.

        Only a complete check covers what seldom changes: durability, tokens and the clock.
        """
        # Share a running check, unless it covers less than is asked for.
        while self._running is not None and not self._running.done():
            is_enough = self._is_complete or not is_complete
            await asyncio.wait([self._running])
            if is_enough:
                return
        self._is_complete = is_complete
        self._running = asyncio.create_task(self._check_all())
        await asyncio.wait([self._running])

    async def close(self) -> None:
        """Cancel a running check."""
        if self._running is not None:
            await cancelled(self._running)

    async def _check_reason(self, reason: Reason) -> str | None:
        with suppress(TimeoutError):  # the check continues, and its own timeout makes the queue unavailable
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self.check()
        return self._reasons.problem(reason)

    async def _check_all(self) -> None:
        """Raises nothing: failures set a reason, or are counted and logged."""
        self._reasons.expire()
        try:
            if self._disk is not None:
                self._backpressure.observe_disk(await asyncio.to_thread(_free_bytes, self._disk))
            await self._check_queue()
        except BrokerUnavailable as error:
            self._reasons.put(QUEUE_UNAVAILABLE, str(error))
        except Exception:  # noqa: BLE001 - the loop must survive; counted and logged
            self._metrics.background_failures.labels("readiness").inc()
            _log.exception("checking the queue failed")
        else:
            self._reasons.put(QUEUE_UNAVAILABLE, None)

    async def _check_queue(self) -> None:
        load = await queue_load(self._redis, self._keys, self._shards.in_use)
        if self._is_complete or self._durability is None:
            self._durability = await read_durability(self._redis)
            # A 202 promises no more than the fsync behind it.
            self._metrics.durability.clear()
            self._metrics.durability.labels(self._durability.fsync).set(1)
            problem = None
            if self._is_strict and not self._durability.keeps_promise:
                problem = (
                    f"appendfsync is {self._durability.fsync} and the eviction policy"
                    f" {self._durability.eviction}; the promise needs appendonly yes, appendfsync always and"
                    f" noeviction {_RELAXED}"
                )
            self._reasons.put(DURABILITY, problem)
            await self._check_tokens_and_clock()
        load = load.with_limit(self._durability.maxmemory_bytes)
        # Without a known limit there is no backpressure, and posts could fill the machine's memory.
        problem = None
        if self._is_strict and not (load.limit_bytes and load.shows_memory):
            problem = f"{_NO_LIMIT if load.shows_memory else _HIDDEN_LIMIT} {_RELAXED}"
        self._reasons.put(MEMORY_LIMIT, problem)
        with suppress(BrokerFull):  # the load says so
            await check_writable(self._redis, self._keys)
        self._backpressure.observe(load)

    async def _check_tokens_and_clock(self) -> None:
        """Check that the projection is fresh: only then an unknown token is invalid. Compare the clocks."""
        age = await self._projection.swept_seconds_ago()
        with translated():
            seconds, micros = await self._redis.time()
        if age is None:
            self._reasons.put(TOKENS, "it has not been swept yet")
        else:
            self._metrics.projection_age_seconds.set(age)
            problem = None if is_fresh(age) else f"it was last swept {age:.0f} seconds ago"
            self._reasons.put(TOKENS, problem)
        # Against Redis's clock, which all processes share.
        skew = self._clock.now_ms() / 1000 - (seconds + micros / 1e6)
        self._metrics.clock_skew_seconds.set(skew)
        self._reasons.put(CLOCK, f"{skew:.0f} seconds" if abs(skew) > CLOCK_SKEW_SECONDS else None)


def _free_bytes(folder: Path) -> int | None:
    """The space left for the server's user; None if the folder cannot be read."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
