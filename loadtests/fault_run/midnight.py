"""The midnight of ingest in crash tests: still ahead once the plant has started, however long that takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from loadtests.fault_run.plant import Plant, PlantError, running_plant

_STARTS: Final = 3
_LEFT_SECONDS: Final = 10.0
"""For posts of the day before, at least."""
_DAY: Final = timedelta(days=1)

Start = Callable[[Path, Mapping[str, str]], AbstractAsyncContextManager[Plant]]


class Midnight:
    """When ingest's day changes, in seconds of `time.monotonic`; None: not in this run."""

    def __init__(self, at: float | None) -> None:
        self.at = at

    async def passed(self) -> bool:
        """Wait for it; answers whether there is one."""
        if self.at is None:
            return False
        await asyncio.sleep(max(0.0, self.at - time.monotonic()))
        return True


@asynccontextmanager
async def plant_before_midnight(
    folder: Path,
    seconds: float,
    start: Start = running_plant,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[tuple[Plant, Midnight]]:
    """A running plant whose ingest has its midnight this many seconds after the start began, 0 for none.

    A plant that is ready too late is started again, in another folder, with the time that it took added.
    Raises PlantError if that does not help either.
    """
    after = seconds
    for number in range(_STARTS):
        began = monotonic()
        place = folder / f"start-{number}"
        place.mkdir()
        async with start(place, _clock_settings(after, datetime.now(UTC))) as plant:
            took = monotonic() - began
            if not seconds or took + _LEFT_SECONDS <= after:
                yield plant, Midnight(began + after if seconds else None)
                return
        after = seconds + took + _LEFT_SECONDS
    raise PlantError(f"the plant takes ever longer to start, {took:.0f} s at last, for a midnight to be set")


def _clock_settings(midnight_after_seconds: float, now: datetime) -> dict[str, str]:
    """What gives ingest processes such a midnight."""
    if not midnight_after_seconds:
        return {}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    offset = midnight - now - timedelta(seconds=midnight_after_seconds)
    return {"HEADRACE_CLOCK_OFFSET_SECONDS": str(round(offset.total_seconds()))}
