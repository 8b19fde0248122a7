"""How long events are kept: the value that the workers use, not the setting that the api was started with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
import structlog

from collector.database.agreed_settings import FOLLOW_SECONDS, agreed_settings
from collector.database.errors import DatabaseUnavailable
from collector.process.lifecycle import cancelled

DEFAULT_DAYS: Final = 30
_NAME: Final = "retention_days"

_log = structlog.get_logger()


class Retention:
    """The retention in days; `setting` applies until a worker has been started."""

    def __init__(self, pool: asyncpg.Pool, setting: int | None) -> None:
        self.days = setting or DEFAULT_DAYS
        self._pool = pool
        self._setting = setting

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow the workers' value inside the block. Raises DatabaseUnavailable for the first read."""
        await self._refresh()
        # The workers' value counts; an own setting that differs has no effect.
        if self._setting not in {None, self.days}:
            _log.warning(
                f"HEADRACE_RETENTION_DAYS is {self._setting} here, but the workers keep events"
                f" for {self.days} days"
            )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._refresh_repeatedly())
            try:
                yield
            finally:
                await cancelled(following)

    async def _refresh(self) -> None:
        stored = (await agreed_settings(self._pool)).get(_NAME)
        if stored is not None:
            self.days = int(stored)

    async def _refresh_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            with suppress(DatabaseUnavailable):  # the health route and every request report the outage
                await self._refresh()
