"""The bound on entries in memory."""

import asyncio

from worker.room import Room


async def test_an_entry_that_does_not_fit_waits() -> None:
    """Until others have left."""
    room, order = Room(100), []

    async def hold(name: str, size: int, until: asyncio.Event) -> None:
        async with room.hold(size):
            order.append(name)
            await until.wait()

    first, second = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(hold("first", 60, first))
        tasks.create_task(hold("second", 40, second))
        tasks.create_task(hold("third", 50, second))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (order, room.used_bytes) == (["first", "second"], 100)
        first.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (order[-1], room.used_bytes) == ("third", 90)
        second.set()

    assert room.used_bytes == 0


async def test_an_entry_larger_than_the_bound_is_processed_alone() -> None:
    """It does not wait forever, and later entries do not overtake it."""
    room, together = Room(100), []

    async def hold(size: int) -> None:
        async with room.hold(size):
            together.append(room.used_bytes)
            await asyncio.sleep(0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for size in (10, 500, 20, 30):
            tasks.create_task(hold(size))

    assert together[:2] == [10, 500]
    assert max(together[2:]) <= 50


async def test_a_cancelled_wait_holds_nothing() -> None:
    room = Room(100)

    async def hold() -> None:
        async with room.hold(80):
            pass

    async with room.hold(80):
        waiting = asyncio.ensure_future(hold())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    async with asyncio.timeout(10), room.hold(100):
        assert room.used_bytes == 100
