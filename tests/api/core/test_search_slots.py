"""Searches take turns: bounded in all and for each asker, in a fair order, and none is lost."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from collector.api.core.search_slots import FairSemaphore
from collector.domain.errors import Unavailable
from tests.waiting import until


class Searches:
    """What runs, in the order in which it began; each goes on until it is told to end."""

    def __init__(self, turns: FairSemaphore, group: asyncio.TaskGroup) -> None:
        self.begun: list[str] = []
        self._turns = turns
        self._group = group
        self._ends: dict[str, asyncio.Event] = {}

    async def ask(self, name: str) -> asyncio.Task[None]:
        """Ask for a turn; the first letter of the name is the asker's."""
        self._ends[name] = asyncio.Event()
        task = self._group.create_task(self._search(name))
        await asyncio.sleep(0)
        return task

    async def end(self, name: str) -> None:
        """End one, and let whoever is next begin."""
        self._ends[name].set()
        for _ in range(5):
            await asyncio.sleep(0)

    async def _search(self, name: str) -> None:
        async with self._turns.slot(name[0], longest_seconds=15):
            self.begun.append(name)
            await self._ends[name].wait()


async def test_nobody_has_all_the_turns() -> None:
    """Whoever asks for many waits behind himself, another one does not."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        searches = Searches(FairSemaphore(total=3, per_client=2), group)
        for name in ("a1", "a2", "a3", "a4", "b1"):
            await searches.ask(name)

        assert searches.begun == ["a1", "a2", "b1"]
        for name in ("a1", "a2", "b1", "a3", "a4"):
            await searches.end(name)
        assert searches.begun == ["a1", "a2", "b1", "a3", "a4"]


async def test_askers_take_turns() -> None:
    """However many one asks for, the next one waits for one of them only."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        searches = Searches(FairSemaphore(total=1, per_client=1), group)
        for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
            await searches.ask(name)
        while len(searches.begun) < 6:
            await searches.end(searches.begun[-1])
        await searches.end(searches.begun[-1])

    assert searches.begun == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_a_turn_that_does_not_come_is_refused_and_says_when_to_ask_again() -> None:
    """By then those who search now are done. It takes no turn from anybody later."""
    turns = FairSemaphore(total=1, per_client=1, wait_seconds=0.01)
    async with turns.slot("a", longest_seconds=15):
        with pytest.raises(Unavailable) as refused:
            async with turns.slot("b", longest_seconds=15):
                raise AssertionError("two at once")
    assert refused.value.retry_after_seconds == 15

    assert await _begun(turns)


@pytest.mark.parametrize("has_come", [False, True], ids=["while it waits", "the moment its turn comes"])
async def test_whoever_leaves_gives_up_the_turn(has_come: bool) -> None:  # noqa: FBT001
    """Nothing of it stays taken."""
    turns = FairSemaphore(total=1, per_client=1)

    async def search() -> None:
        async with turns.slot("b", longest_seconds=15):
            raise AssertionError("cancelled before")

    async with asyncio.timeout(10), AsyncExitStack() as first:
        await first.enter_async_context(turns.slot("a", longest_seconds=15))
        waiting = asyncio.ensure_future(search())
        await asyncio.sleep(0)
        if has_come:
            await first.aclose()
        waiting.cancel()
        await until(waiting.done)
        assert waiting.cancelled()
        await first.aclose()

        assert await _begun(turns)


async def test_a_search_that_fails_gives_its_turn_on() -> None:
    """Whatever it fails with."""
    turns = FairSemaphore(total=1, per_client=1)
    with pytest.raises(ValueError, match="broken"):
        async with turns.slot("a", longest_seconds=15):
            raise ValueError("broken")

    assert await _begun(turns)


async def _begun(turns: FairSemaphore) -> bool:
    """Whether somebody new finds a turn free."""
    async with asyncio.timeout(1):
        try:
            async with turns.slot("somebody", longest_seconds=15):
                return True
        except Unavailable:
            return False
