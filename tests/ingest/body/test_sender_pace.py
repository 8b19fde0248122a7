"""The bodies of one sender are worked on one after the other, with rests, and others do not wait for them."""

import asyncio
import time

import pytest

from collector.domain.errors import TooManyRequests
from collector.ingest.body import sender_pace
from collector.ingest.body.sender_pace import SenderPace


def _work() -> None:
    """Take some processor time."""
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass


async def _turn(pace: SenderPace, sender: bytes) -> float:
    """Work in a turn of the sender; returns when it began."""
    async with pace.turn(sender) as turn:
        began = asyncio.get_running_loop().time()
        turn.timed(_work)()
        return began


async def test_a_sender_rests_after_its_work() -> None:
    """Four times as long as the work took."""
    pace = SenderPace()
    began = [await _turn(pace, b"a") for _ in range(3)]

    assert began[1] - began[0] >= 0.09
    assert began[2] - began[1] >= 0.09


async def test_others_do_not_wait_for_a_sender_that_rests() -> None:
    """Each has its own turns."""
    pace = SenderPace()
    await _turn(pace, b"a")
    resting = asyncio.ensure_future(_turn(pace, b"a"))
    await asyncio.sleep(0)
    await _turn(pace, b"b")

    assert not resting.done()
    await resting


async def test_only_some_bodies_of_a_sender_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are refused, with the time after which to try again."""
    monkeypatch.setattr(sender_pace, "_WAITING_PER_SENDER", 2)
    pace = SenderPace()
    async with pace.turn(b"a"):
        waiting = [asyncio.ensure_future(_turn(pace, b"a")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests, match="Checking your posts") as refused:
            await _turn(pace, b"a")
    await asyncio.gather(*waiting)

    assert refused.value.retry_after_seconds


async def test_a_body_does_not_wait_for_long() -> None:
    """Neither for the turn of its sender nor for the end of a rest."""
    pace = SenderPace(wait_seconds=0.01)
    async with pace.turn(b"a") as turn:
        with pytest.raises(TooManyRequests):
            await _turn(pace, b"a")
        turn.timed(_work)()
    with pytest.raises(TooManyRequests):
        await _turn(pace, b"a")


async def test_senders_that_have_rested_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that rest are bounded."""
    pace = SenderPace()
    monkeypatch.setattr(sender_pace, "_SENDERS_AT_MOST", 3)
    for number in range(10):
        await _turn(pace, b"%d" % number)
    assert len(pace._senders) <= 3

    monkeypatch.setattr(sender_pace, "REST_PER_WORK", 0.0)
    await _turn(SenderPace(), b"a")
    rested = SenderPace()
    await _turn(rested, b"a")
    await _turn(rested, b"b")
    assert set(rested._senders) <= {b"b"}
