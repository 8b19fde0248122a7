"""Waiting for a condition, with a bound: tests never sleep and hope."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

_PAUSE_SECONDS = 0.005


async def until(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0, what: str = "the condition"
) -> None:
    """Return as soon as `condition` holds; fail the test when it does not within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                held = condition()
                if await held if isawaitable(held) else held:
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true within {seconds} s") from None


async def until_equal(
    answer: Callable[[], Awaitable[object]], expected: object, seconds: float = 10.0
) -> None:
    """Return as soon as `answer` returns the expected value."""

    async def is_equal() -> bool:
        return await answer() == expected

    await until(is_equal, seconds, what=f"an answer equal to {expected!r}")
