"""How long events are kept: what the workers go by, who drop them, and not what the api was started with."""

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
    """Knows the days. `setting` counts where no worker has been started yet."""

    def __init__(self, pool: asyncpg.Pool, setting: int | None) -> None:
        self.days = setting or DEFAULT_DAYS
        self._pool = pool
        self._setting = setting

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow the workers inside the block. Raises DatabaseUnavailable for the first look."""
        await self._look()
        if self._setting not in {None, self.days}:
            _log.warning(
                f"HEADRACE_RETENTION_DAYS is {self._setting} here, but the workers keep events"
                f" for {self.days} days"
            )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._keep_looking())
            try:
                yield
            finally:
                await cancelled(following)

    async def _look(self) -> None:
        stored = (await agreed_settings(self._pool)).get(_NAME)
        if stored is not None:
            self.days = int(stored)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            with suppress(DatabaseUnavailable):  # reading says so
                await self._look()
