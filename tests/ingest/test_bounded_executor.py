"""What takes long is done in turn, so that nothing else at ingest waits for it."""

import asyncio
from threading import Event, get_ident

import pytest

from collector.domain.errors import Unavailable
from collector.ingest.bounded_executor import BoundedExecutor

LARGE = b"x" * 10_000
SMALL = b"{}"


@pytest.mark.parametrize(
    ("body", "content_encoding", "is_apart"),
    [
        pytest.param(SMALL, "", False, id="a small body"),
        pytest.param(LARGE, "", True, id="a large body"),
        pytest.param(SMALL, "zstd", True, id="a small body that may open to a large one"),
    ],
)
async def test_what_takes_long_is_done_in_a_thread(
    body: bytes,
    content_encoding: str,
    is_apart: bool,  # noqa: FBT001
) -> None:
    """What is done in no time is done at once."""
    thread = await BoundedExecutor().run(body, content_encoding, get_ident)

    assert (thread != get_ident()) is is_apart


async def test_a_turn_that_does_not_come_in_time_is_refused() -> None:
    """The sender may repeat it; those who have their turn are not disturbed."""
    is_over = Event()
    turns = BoundedExecutor(at_once=1, wait_seconds=0.01)
    working = asyncio.ensure_future(turns.run(LARGE, "", lambda: is_over.wait(30)))
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await turns.run(LARGE, "", get_ident)
    assert await turns.run(SMALL, "", get_ident) == get_ident()

    is_over.set()
    assert await working


async def test_only_so_many_bytes_wait_for_their_turn() -> None:
    """Thousands of senders may ask at once, each with a body in ingest's memory."""
    is_over = Event()
    turns = BoundedExecutor(at_once=1, wait_seconds=30, waiting_bytes=2 * len(LARGE))
    working = [asyncio.ensure_future(turns.run(LARGE, "", lambda: is_over.wait(30))) for _ in range(2)]
    await asyncio.sleep(0)

    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await turns.run(LARGE, "", get_ident)

        is_over.set()
        assert await asyncio.gather(*working) == [True, True]
        assert await turns.run(LARGE * 3, "", get_ident) != get_ident()


async def test_a_turn_is_given_back_also_after_a_failure() -> None:
    """What cannot be read must not stop those who come later."""
    turns = BoundedExecutor(at_once=1, wait_seconds=5)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await turns.run(LARGE, "", lambda: 1 // 0)
