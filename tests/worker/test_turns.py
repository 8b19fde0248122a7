"""The first lane has most of the worker while it needs it; the others have the rest, or all of it."""

import asyncio
from contextlib import AsyncExitStack

from worker.turns import Turns


async def _begin(turns: Turns, lane: int) -> AsyncExitStack | None:
    """Take a turn and keep it; None if it has to wait."""
    stack = AsyncExitStack()
    try:
        async with asyncio.timeout(0):
            await stack.enter_async_context(turns.take(lane))
    except TimeoutError:
        return None
    return stack


async def test_without_work_in_the_first_lane_the_others_use_all_slots() -> None:
    """A project alone has all of the worker."""
    turns = Turns()

    assert all([await _begin(turns, 2) for _ in range(3)])


async def test_beside_the_first_lane_the_others_store_one_transaction_at_a_time() -> None:
    """So it has three turns of four, whatever waits in the others, and they always have one."""
    turns = Turns()
    first = await _begin(turns, 0)
    assert first is not None
    one = await _begin(turns, 1)
    assert one is not None
    assert await _begin(turns, 2) is None
    assert await _begin(turns, 0) is not None

    await one.aclose()
    assert await _begin(turns, 2) is not None
