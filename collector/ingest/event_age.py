"""The oldest age of events that ingest checks strict posts by: the workers' value, whatever its own setting.

With another value ingest would answer 202 for events that workers discard, or refuse events that they store.
"""

from datetime import timedelta
from typing import Final

import structlog
from redis.asyncio import Redis

from collector.broker.event_age import published_event_age
from collector.broker.keys import RedisKeys

DEFAULT_DAYS: Final = 3

_log = structlog.get_logger()


class EventAge:
    """The age in days, 0 for no limit; `setting` applies until a worker has published its value."""

    def __init__(self, redis: Redis, keys: RedisKeys, setting: int | None) -> None:
        self.days = DEFAULT_DAYS if setting is None else setting
        self._redis = redis
        self._keys = keys
        self._setting = setting

    @property
    def max_age(self) -> timedelta | None:
        """The age, None for no limit."""
        return timedelta(days=self.days) if self.days else None

    async def follow(self) -> None:
        """Adopt the workers' value. Raises BrokerUnavailable."""
        days = await published_event_age(self._redis, self._keys)
        if days is None or days == self.days:
            return
        self.days = days
        if self._setting not in {None, days}:
            _log.warning(
                f"HEADRACE_MAX_EVENT_AGE_DAYS is {self._setting} here, but the workers discard events older"
                f" than {days} days (0: none); strict posts are checked by that"
            )
