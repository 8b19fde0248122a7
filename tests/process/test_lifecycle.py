"""A process ends in order: by a signal, after a failed start, or when a task dies."""

import asyncio
import os
import signal

import pytest

from collector.process.lifecycle import StartError, Stop, TaskDied, cancelled, run_process, vital
from collector.process.settings import Settings, read_settings


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_process_with_status_0(number: signal.Signals) -> None:
    """The process decides when it is done."""
    seen: list[bool] = []

    async def main(stop: Stop) -> None:
        os.kill(os.getpid(), number)
        seen.append(await stop.sleep(10))

    assert run_process(main) == 0
    assert seen == [True]


def test_a_start_that_fails_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a traceback."""

    async def main(_stop: Stop) -> None:
        read_settings(Settings, {"HEADRACE_LOG_LEVEL": "loud"})

    assert run_process(main) == 2
    assert capsys.readouterr().err == (
        "headrace: HEADRACE_LOG_LEVEL holds 'loud'; it must be one of debug, info, warning, error.\n"
    )


async def test_a_pause_without_a_stop_ends_by_itself() -> None:
    """And says so."""
    stop = Stop()

    assert not await stop.sleep(0.001)
    stop.request()
    assert stop.is_requested
    assert await stop.sleep(10)


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """As a driver may do when its result arrives at the same moment."""
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 2:
                    raise

    task = asyncio.ensure_future(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await cancelled(task)

    assert task.cancelled()


def test_start_errors_inside_a_group_are_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Processes start their parts in task groups."""

    async def main(_stop: Stop) -> None:
        raise ExceptionGroup("unhandled", [StartError("the port is taken.")])

    assert run_process(main) == 2
    assert capsys.readouterr().err == "headrace: the port is taken.\n"


def test_a_background_task_that_dies_ends_the_process_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And status 1, so that a supervisor restarts it."""

    async def work() -> None:
        raise KeyError("x")

    async def main(stop: Stop) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(vital("sweep", work(), stop))
            await stop.wait()

    assert run_process(main) == 1
    line = "headrace: the background task 'sweep' died of KeyError: 'x'; see the log.\n"
    assert capsys.readouterr().err.endswith(line)


async def test_a_background_task_may_end_only_after_a_stop() -> None:
    """A loop that returns before has a bug."""

    async def work() -> None:
        return

    stop = Stop()
    with pytest.raises(TaskDied, match="ended by itself"):
        await vital("loop", work())
    stop.request()
    await vital("loop", work(), stop)
