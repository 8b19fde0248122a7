"""The settings that must be the same for all workers, because they decide what is stored and what is dropped.

They are kept in Postgres. The last worker to start with a variable in its environment sets the value for all
of them and logs what it replaces; a worker started without the variable changes nothing. So workers differ
for one polling interval at most, even while they are restarted one by one with a new value.
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
    """The settings in force: those of this process, with the shared ones replaced by the agreed values."""

    settings: WorkerSettings
    pool: asyncpg.Pool

    async def join(self, environ: Mapping[str, str]) -> None:
        """Store the values set in this process's environment, and adopt the others.

        Raises DatabaseUnavailable.
        """
        named = named_settings(self.settings, environ, AGREED)
        own = {name: str(getattr(self.settings, name)) for name in AGREED}
        # The last worker to start wins; the log says which value was replaced.
        for name, before in (await agree_on(self.pool, named, own)).items():
            _log.warning(
                f"{PREFIX}{name.upper()} is {named[name]} here and was {before} before;"
                f" {named[name]} counts for all workers from now on"
            )
        await self.follow()

    async def follow(self) -> bool:
        """Adopt the values that other workers have stored; True if any has changed.

        Raises DatabaseUnavailable.
        """
        stored = await agreed_settings(self.pool)
        changed: dict[str, str] = {
            name: stored[name]
            for name in AGREED
            if name in stored and stored[name] != str(getattr(self.settings, name))
        }
        if changed:
            _log.info("adopting the settings of the other workers", **changed)
            # The texts were validated before they were stored.
            values = {**msgspec.structs.asdict(self.settings), **changed}
            self.settings = msgspec.convert(values, WorkerSettings, strict=False)
        return bool(changed)
