"""Work on bodies: small ones inline, others in threads, and a bound on the bytes that wait."""

import asyncio
from secrets import token_bytes
from threading import Event, get_ident

import pytest

from collector.domain.errors import Unavailable
from collector.ingest.body.body_executor import BodyExecutor

LARGE = b"x" * 10_000
SMALL = b"{}"
SENDER = b"s" * 16


def new_sender() -> bytes:
    """A sender that has not sent anything yet."""
    return token_bytes(16)


@pytest.mark.parametrize(
    ("body", "content_encoding", "in_a_thread"),
    [
        pytest.param(SMALL, "", False, id="a small body"),
        pytest.param(LARGE, "", True, id="a large body"),
        pytest.param(SMALL, "zstd", True, id="a small body that may decompress to a large one"),
    ],
)
async def test_only_work_that_may_take_long_runs_in_a_thread(
    body: bytes,
    content_encoding: str,
    in_a_thread: bool,  # noqa: FBT001
) -> None:
    """Decompression may make a body large."""
    with BodyExecutor() as executor:
        thread = await executor.run_for_body(body, content_encoding, get_ident, SENDER)

    assert (thread != get_ident()) is in_a_thread


async def test_a_small_body_does_not_wait_for_a_thread() -> None:
    """It runs inline."""
    is_over = Event()
    with BodyExecutor(threads=1) as executor:
        working = asyncio.ensure_future(
            executor.run_for_body(LARGE, "", lambda: is_over.wait(30), new_sender())
        )
        await asyncio.sleep(0)

        assert await executor.run_for_body(SMALL, "", get_ident, SENDER) == get_ident()

        is_over.set()
        assert await working


async def test_bodies_that_wait_for_the_turn_of_their_sender_are_counted() -> None:
    """They are in memory as well."""
    is_over = Event()
    with BodyExecutor(threads=1, wait_seconds=30, waiting_bytes=2 * len(LARGE)) as executor:
        working = [
            asyncio.ensure_future(executor.run_costly(LARGE, lambda: is_over.wait(30), SENDER))
            for _ in range(2)
        ]
        await asyncio.sleep(0)

        with pytest.raises(Unavailable):
            await executor.run_costly(LARGE, get_ident, new_sender())

        is_over.set()
        assert await asyncio.gather(*working) == [True, True]


async def test_the_bytes_that_wait_are_bounded_but_one_body_may_be_larger() -> None:
    """Thousands of clients may send bodies concurrently, and all of these are in memory."""
    is_over = Event()
    with BodyExecutor(threads=1, wait_seconds=30, waiting_bytes=2 * len(LARGE)) as executor:
        working = [
            asyncio.ensure_future(executor.run_for_body(LARGE, "", lambda: is_over.wait(30), new_sender()))
            for _ in range(2)
        ]
        await asyncio.sleep(0)

        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await executor.run_for_body(LARGE, "", get_ident, SENDER)

            is_over.set()
            assert await asyncio.gather(*working) == [True, True]
            assert await executor.run_for_body(LARGE * 3, "", get_ident, SENDER) != get_ident()
