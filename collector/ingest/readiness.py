"""Whether this door can keep its promise: the queue answers, keeps what it is given, and has our tokens."""

from typing import Final, Literal

from redis.asyncio import Redis

from collector.broker.durability import durability_of
from collector.broker.errors import BrokerUnavailable, translated
from collector.broker.token_projection import TokenProjection
from collector.http.health import Check
from collector.ingest.token_cache import FRESH_SECONDS
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

CLOCK_SKEW_SECONDS: Final = 300.0
"""Ids carry this door's time; leaves, ages and retention go by it."""


class Readiness:
    """The door's checks, each a sentence for an operator or None."""

    def __init__(
        self,
        redis: Redis,
        projection: TokenProjection,
        clock: Clock,
        metrics: IngestMetrics,
        durability: Literal["strict", "relaxed"],
    ) -> None:
        self._redis = redis
        self._projection = projection
        self._clock = clock
        self._metrics = metrics
        self._is_strict = durability == "strict"

    @property
    def checks(self) -> dict[str, Check]:
        """By name, for the health route."""
        return {"durability": self.durability, "tokens": self.tokens, "clock": self.clock}

    async def durability(self) -> str | None:
        """A 202 is as good as the fsync behind it."""
        try:
            found = await durability_of(self._redis)
        except BrokerUnavailable as error:
            return f"the queue is unavailable: {error}"
        self._metrics.durability.clear()
        self._metrics.durability.labels(found.fsync).set(1)
        if found.keeps_promise or not self._is_strict:
            return None
        return (
            f"appendfsync is {found.fsync} and the eviction policy {found.eviction}; the promise needs "
            "appendonly yes, appendfsync always and noeviction (HEADRACE_DURABILITY=relaxed accepts less)"
        )

    async def tokens(self) -> str | None:
        """Unknown tokens can be told from unswept ones only while the projection is fresh."""
        try:
            age = await self._projection.swept_seconds_ago()
        except BrokerUnavailable as error:
            return f"the queue is unavailable: {error}"
        if age is None:
            return "the token projection has not been swept yet; is a worker running?"
        self._metrics.projection_age_seconds.set(age)
        if age >= FRESH_SECONDS:
            return f"the token projection was last swept {age:.0f} seconds ago; is a worker running?"
        return None

    async def clock(self) -> str | None:
        """A door whose clock is off would file events under the wrong day."""
        try:
            with translated():
                seconds, micros = await self._redis.time()
        except BrokerUnavailable as error:
            return f"the queue is unavailable: {error}"
        skew = self._clock.now_ms() / 1000 - (seconds + micros / 1e6)
        self._metrics.clock_skew_seconds.set(skew)
        if abs(skew) > CLOCK_SKEW_SECONDS:
            return f"this machine's clock differs from the queue's by {skew:.0f} seconds"
        return None
