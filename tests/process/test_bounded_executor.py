"""Work in threads: the waiting work and its time are bounded."""

import asyncio
from threading import Event, get_ident

import pytest

from collector.domain.errors import Unavailable
from collector.process.bounded_executor import BoundedExecutor


def an_executor(*, capacity: int = 10, wait_seconds: float = 10.0) -> BoundedExecutor:
    """An executor with one thread."""
    return BoundedExecutor("test", threads=1, capacity=capacity, wait_seconds=wait_seconds, refusal="Full.")


async def test_work_runs_in_a_thread_and_returns_its_result() -> None:
    """The event loop continues meanwhile."""
    with an_executor() as executor:
        assert await executor.run(get_ident) != get_ident()


async def test_work_that_waits_too_long_for_a_thread_is_refused() -> None:
    """Running work is not disturbed."""
    is_over = Event()
    with an_executor(wait_seconds=0.01) as executor:
        working = asyncio.ensure_future(executor.run(lambda: is_over.wait(30)))
        await asyncio.sleep(0)

        with pytest.raises(Unavailable, match="Full") as raised:
            await executor.run(get_ident)

        assert raised.value.retry_after_seconds
        is_over.set()
        assert await working


async def test_work_beyond_the_capacity_is_refused_immediately() -> None:
    """The capacity is free again when earlier work is done."""
    is_over = Event()
    with an_executor(capacity=3) as executor:
        working = [asyncio.ensure_future(executor.run(lambda: is_over.wait(30))) for _ in range(3)]
        await asyncio.sleep(0)

        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await executor.run(get_ident)

            is_over.set()
            assert await asyncio.gather(*working) == [True] * 3
            assert await executor.run(get_ident, size=3) != get_ident()


async def test_work_that_fails_or_is_cancelled_frees_its_capacity() -> None:
    is_over = Event()
    with an_executor(capacity=2) as executor:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await executor.run(lambda: 1 // 0)
        working = asyncio.ensure_future(executor.run(lambda: is_over.wait(30)))
        waiting = asyncio.ensure_future(executor.run(get_ident))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        is_over.set()

        assert await working
        assert await executor.run(get_ident, size=2) != get_ident()
