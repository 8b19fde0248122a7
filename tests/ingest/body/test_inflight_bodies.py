"""Bodies that arrive slowly share a bound, and do not affect other clients."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

import pytest

from collector.ingest.body import inflight_bodies
from collector.ingest.body.inflight_bodies import InflightBodies, InflightBody
from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import RunningIngest, raw_post, running_ingest


@contextmanager
def _bodies(bodies: InflightBodies, number: int) -> Iterator[list[InflightBody]]:
    """Bodies, the oldest first, each with its own deadline."""
    with ExitStack() as stack:
        yield [stack.enter_context(bodies.begin(asyncio.timeout(60))) for _ in range(number)]


async def _wait(body: InflightBody) -> None:
    async with body.deadline:
        await asyncio.Event().wait()


async def test_the_oldest_body_is_given_up() -> None:
    """Whatever the size of the others; its reader is woken immediately."""
    bodies = InflightBodies(10)
    with _bodies(bodies, 3) as [oldest, second, third]:
        async with asyncio.timeout(10):
            readers = [asyncio.ensure_future(_wait(body)) for body in (oldest, second, third)]
            await asyncio.sleep(0)
            bodies.add(oldest, b"1")
            bodies.add(second, b"2")
            bodies.add(third, b"34567890")
            before = oldest.was_given_up
            bodies.add(third, b"1")
            await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)

        assert [before, oldest.was_given_up, second.was_given_up, third.was_given_up] == [
            False,
            True,
            False,
            False,
        ]
        assert [reader.done() for reader in readers] == [True, False, False]
        for reader in readers:
            reader.cancel()
        ends = await asyncio.gather(*readers, return_exceptions=True)
        assert [type(end) for end in ends] == [TimeoutError, asyncio.CancelledError, asyncio.CancelledError]


async def test_a_complete_or_given_up_body_frees_its_share() -> None:
    """Otherwise the bound would stay reached."""
    bodies = InflightBodies(10)
    with _bodies(bodies, 1) as [watching]:
        for _ in range(3):
            with _bodies(bodies, 1) as [body]:
                bodies.add(body, b"12345678")

        assert not watching.was_given_up


async def test_a_given_up_body_no_longer_counts() -> None:
    """Its last pieces may still arrive before its reader stops."""
    bodies = InflightBodies(10)
    with _bodies(bodies, 3) as [first, second, third]:
        readers = [asyncio.ensure_future(_wait(body)) for body in (first, second, third)]
        await asyncio.sleep(0)
        bodies.add(first, b"123456")
        bodies.add(second, b"123456")
        bodies.add(first, b"123456")
        bodies.add(third, b"1234")

        assert [body.was_given_up for body in (first, second, third)] == [True, False, False]
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


@asynccontextmanager
async def _half_body(ingest: RunningIngest) -> AsyncIterator[asyncio.StreamReader]:
    """A post that stops in the middle for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    writer.write(raw_post("Content-Length: 190001", body=b"x" * 190_000))
    await writer.drain()
    yield reader
    writer.write(b"x")
    writer.close()
    await writer.wait_closed()


async def _first_answer(readers: Sequence[asyncio.StreamReader]) -> bytes:
    """The first answer on any connection: only ingest knows which body is the oldest."""
    reading = [asyncio.ensure_future(reader.readuntil(b"\r\n\r\n")) for reader in readers]
    answered, waiting = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return answered.pop().result()


@pytest.mark.integration
@pytest.mark.parametrize("is_known", [False, True], ids=["from a stranger", "from a known sender"])
async def test_incomplete_bodies_are_refused_before_they_fill_the_memory(
    redis_url: str,
    key_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    is_known: bool,  # noqa: FBT001
) -> None:
    """The oldest gets 503 with `Retry-After`; large posts that arrive whole are accepted meanwhile."""
    monkeypatch.setattr(inflight_bodies, "MOST_BYTES", 0)  # so four of the largest fit in
    large = b'{"message":"' + b"m" * 190_000 + b'"}'
    async with running_ingest(redis_url, key_prefix, a_projection()) as ingest, asyncio.timeout(20):
        if is_known:
            await ingest.post()
        async with AsyncExitStack() as stack:
            halves = [await stack.enter_async_context(_half_body(ingest)) for _ in range(6)]
            answer = await _first_answer(halves)
            posted = [(await ingest.post(data=large)).status for _ in range(6)]

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in answer
    assert posted == [202] * 6
