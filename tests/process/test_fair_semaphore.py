"""Slots are bounded in total and per client, granted in a fair order, kept for others, and never leak."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from collector.domain.errors import Unavailable
from collector.process.fair_semaphore import LATELY_SECONDS, FairSemaphore
from tests.support.waiting import until


def slots_for(total: int, wait_seconds: float = 5.0, **bounds: int) -> FairSemaphore:
    """Slots that are refused with these words."""
    return FairSemaphore(total, wait_seconds=wait_seconds, refusal="Too many.", **bounds)


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
        searches = Searches(slots_for(3), group)
        for name in ("a1", "a2", "a3", "a4", "b1"):
            await searches.ask(name)

        assert searches.begun == ["a1", "a2", "b1"]
        for name in ("a1", "a2", "b1", "a3", "a4"):
            await searches.end(name)
        assert searches.begun == ["a1", "a2", "b1", "a3", "a4"]


async def test_a_client_has_fewer_slots_beside_others_than_alone() -> None:
    """Where each slot that is used slows down all others. It has them back when the others are gone."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        slots = slots_for(5, beside_others=1)
        searches = Searches(slots, group)
        for name in ("a1", "a2", "b1", "b2", "a3"):
            await searches.ask(name)
        assert searches.begun == ["a1", "a2", "b1"]

        # b was here lately, and so was a.
        await searches.end("a1")
        await searches.end("a2")
        assert searches.begun == ["a1", "a2", "b1", "a3"]
        await searches.end("b1")
        assert searches.begun == ["a1", "a2", "b1", "a3", "b2"]
        slots._lately = dict.fromkeys(slots._lately, -LATELY_SECONDS)
        await searches.ask("b3")
        assert searches.begun[5:] == ["b3"]
        for name in ("a3", "b2", "b3"):
            await searches.end(name)


async def test_a_slot_is_kept_for_each_client_that_held_one_lately() -> None:
    """A client alone may hold all slots but one; with two others about, all but two."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        searches = Searches(slots_for(4), group)
        for name in ("b1", "c1"):
            await searches.ask(name)
        for name in ("b1", "c1"):
            await searches.end(name)
        for name in ("a1", "a2", "a3"):
            await searches.ask(name)
        assert searches.begun[2:] == ["a1", "a2"]
        for name in ("c2", "b2"):
            await searches.ask(name)

        assert searches.begun[2:] == ["a1", "a2", "c2", "b2"]
        for name in ("a1", "a2", "c2", "b2", "a3"):
            await searches.end(name)


async def test_no_slot_is_kept_for_a_client_that_was_gone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then only the one for clients not seen before."""
    monkeypatch.setattr("collector.process.fair_semaphore.LATELY_SECONDS", -1.0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        searches = Searches(slots_for(4), group)
        for name in ("b1", "c1"):
            await searches.ask(name)
            await searches.end(name)
        for name in ("a1", "a2", "a3", "a4"):
            await searches.ask(name)

        assert searches.begun[2:] == ["a1", "a2", "a3"]
        for name in ("a1", "a2", "a3", "a4"):
            await searches.end(name)


async def test_a_client_may_have_a_limit_of_its_own() -> None:
    """On its slots, and on its requests that wait."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        slots = slots_for(4, per_client=1, waiting_per_client=1)
        searches = Searches(slots, group)
        for name in ("a1", "a2"):
            await searches.ask(name)

        assert searches.begun == ["a1"]
        with pytest.raises(Unavailable, match="Too many"):
            async with slots.slot("a"):
                raise AssertionError("a third one")
        for name in ("a1", "a2"):
            await searches.end(name)


async def test_those_who_give_up_are_not_kept() -> None:
    """Nothing of a client is left once its requests have ended, but when it held a slot."""
    slots = slots_for(1, wait_seconds=0.01)
    async with slots.slot("a"):
        for name in ("b", "c"):
            with pytest.raises(Unavailable):
                async with slots.slot(name):
                    raise AssertionError("two slots instead of one")

    assert (slots._waiting, dict(slots._running), list(slots._lately)) == ({}, {}, ["a"])


async def test_waiting_clients_are_served_in_turn() -> None:
    """A client waits for one search of another client at most, however many that client has asked for."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        searches = Searches(slots_for(1), group)
        for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
            await searches.ask(name)
        while len(searches.begun) < 6:
            await searches.end(searches.begun[-1])
        await searches.end(searches.begun[-1])

    assert searches.begun == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_a_search_that_waits_too_long_is_refused_with_a_retry_after() -> None:
    """The refused search does not take a slot later."""
    slots = slots_for(1, wait_seconds=0.01)
    async with slots.slot("a", longest_seconds=15):
        with pytest.raises(Unavailable) as refused:
            async with slots.slot("b", longest_seconds=15):
                raise AssertionError("two slots instead of one")
    assert refused.value.retry_after_seconds == 15

    assert await _has_free_slot(slots)


@pytest.mark.parametrize("is_granted", [False, True], ids=["while it waits", "at the moment it is granted"])
async def test_a_cancelled_search_releases_its_slot(is_granted: bool) -> None:  # noqa: FBT001
    slots = slots_for(1)

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
    slots = slots_for(1)
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
