"""Search slots are bounded in total and per client, granted in a fair order, and never leak."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from collector.api.core.search_slots import FairSemaphore
from collector.domain.errors import Unavailable
from tests.support.waiting import until


class Searches:
    """Runs searches until they are ended, and records the order in which they started."""

    def __init__(self, slots: FairSemaphore, group: asyncio.TaskGroup) -> None:
        self.begun: list[str] = []
        self._slots = slots
        self._group = group
        self._ends: dict[str, asyncio.Event] = {}

    async def ask(self, name: str) -> asyncio.Task[None]:
        """Start a search that waits for a slot; the first letter of its name is the client."""
        self._ends[name] = asyncio.Event()
        task = self._group.create_task(self._search(name))
        await asyncio.sleep(0)
        return task

    async def end(self, name: str) -> None:
        """End a search and let the next one start."""
        self._ends[name].set()
        for _ in range(5):
            await asyncio.sleep(0)

    async def _search(self, name: str) -> None:
        async with self._slots.slot(name[0], longest_seconds=15):
            self.begun.append(name)
            await self._ends[name].wait()


async def test_one_client_cannot_hold_all_slots() -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        searches = Searches(FairSemaphore(total=3, per_client=2), group)
        for name in ("a1", "a2", "a3", "a4", "b1"):
            await searches.ask(name)

        assert searches.begun == ["a1", "a2", "b1"]
        for name in ("a1", "a2", "b1", "a3", "a4"):
            await searches.end(name)
        assert searches.begun == ["a1", "a2", "b1", "a3", "a4"]


async def test_waiting_clients_are_served_in_turn() -> None:
    """A client waits for one search of another client at most, however many that client has asked for."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        searches = Searches(FairSemaphore(total=1, per_client=1), group)
        for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
            await searches.ask(name)
        while len(searches.begun) < 6:
            await searches.end(searches.begun[-1])
        await searches.end(searches.begun[-1])

    assert searches.begun == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_a_search_that_waits_too_long_is_refused_with_a_retry_after() -> None:
    """The refused search does not take a slot later."""
    slots = FairSemaphore(total=1, per_client=1, wait_seconds=0.01)
    async with slots.slot("a", longest_seconds=15):
        with pytest.raises(Unavailable) as refused:
            async with slots.slot("b", longest_seconds=15):
                raise AssertionError("two slots instead of one")
    assert refused.value.retry_after_seconds == 15

    assert await _has_free_slot(slots)


@pytest.mark.parametrize("is_granted", [False, True], ids=["while it waits", "at the moment it is granted"])
async def test_a_cancelled_search_releases_its_slot(is_granted: bool) -> None:  # noqa: FBT001
    slots = FairSemaphore(total=1, per_client=1)

    async def search() -> None:
        async with slots.slot("b", longest_seconds=15):
            raise AssertionError("cancelled before")

    async with asyncio.timeout(10), AsyncExitStack() as first:
        await first.enter_async_context(slots.slot("a", longest_seconds=15))
        waiting = asyncio.ensure_future(search())
        await asyncio.sleep(0)
        if is_granted:
            await first.aclose()
        waiting.cancel()
        await until(waiting.done)
        assert waiting.cancelled()
        await first.aclose()

        assert await _has_free_slot(slots)


async def test_a_failed_search_releases_its_slot() -> None:
    slots = FairSemaphore(total=1, per_client=1)
    with pytest.raises(ValueError, match="broken"):
        async with slots.slot("a", longest_seconds=15):
            raise ValueError("broken")

    assert await _has_free_slot(slots)


async def _has_free_slot(slots: FairSemaphore) -> bool:
    async with asyncio.timeout(1):
        try:
            async with slots.slot("another", longest_seconds=15):
                return True
        except Unavailable:
            return False
