"""The settings that must be the same for all workers, because they decide what is stored and what is dropped.

They are kept in Postgres: the last start that names a value in its environment decides for all workers, and
says in one line what it replaces. So workers never go by different values for longer than a look, also while
they are restarted one by one with a new value; one that is started without the variable changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec
import structlog

from collector.database.agreed_settings import agree_on, agreed_settings
from collector.process.settings import PREFIX, named_settings
from worker.settings import WorkerSettings

AGREED: Final = ("max_event_age_days", "reference_window_minutes", "retention_days", "sessions")

_log = structlog.get_logger()


@dataclass(slots=True)
class Agreement:
    """The settings as they hold now: those of this process, but for what is agreed."""

    settings: WorkerSettings
    pool: asyncpg.Pool

    async def join(self, environ: Mapping[str, str]) -> None:
        """Store what this process was started with, and take over the rest. Raises DatabaseUnavailable."""
        given = named_settings(self.settings, environ, AGREED)
        own = {name: str(getattr(self.settings, name)) for name in AGREED}
        for name, before in (await agree_on(self.pool, given, own)).items():
            _log.warning(
                f"{PREFIX}{name.upper()} is {given[name]} here and was {before} before;"
                f" {given[name]} counts for all workers from now on"
            )
        await self.follow()

    async def follow(self) -> bool:
        """Take over what other workers were started with; whether anything is new.

        Raises DatabaseUnavailable.
        """
        stored = await agreed_settings(self.pool)
        new: dict[str, str] = {
            name: stored[name]
            for name in AGREED
            if name in stored and stored[name] != str(getattr(self.settings, name))
        }
        if new:
            _log.info("settings of the workers", **new)
            self.settings = _with(self.settings, new)
        return bool(new)


def _with(settings: WorkerSettings, texts: Mapping[str, str]) -> WorkerSettings:
    """The settings with these of them; they were checked before they were stored."""
    return msgspec.convert({**msgspec.structs.asdict(settings), **texts}, WorkerSettings, strict=False)
