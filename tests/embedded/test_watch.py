"""What `up` prints when posts are refused at the start or later."""

import asyncio
import io

import pytest

from collector.embedded import watch as watch_module
from collector.embedded.console import Console
from collector.embedded.watch import Watch
from collector.process.clock import SystemClock
from tests.support.waiting import until


class IngestServices:
    """An ingest process with the problem that a test sets."""

    def __init__(self, problem: str | None = None) -> None:
        self.found = problem

    async def problem(self) -> str | None:
        return self.found


@pytest.fixture
def output() -> io.StringIO:
    """The printed lines."""
    return io.StringIO()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting before a message or a check."""
    monkeypatch.setattr(watch_module, "_REPORT_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(watch_module, "_CHECK_SECONDS", 0.001)


def _watch(
    output: io.StringIO, *ingest_processes: IngestServices, worker: IngestServices | None = None
) -> Watch:
    clock = SystemClock()
    return Watch(ingest_processes, [worker or IngestServices()], Console(output, clock), clock)


async def test_a_start_that_is_ready_prints_nothing(output: io.StringIO) -> None:
    """The banner does."""
    await _watch(output, IngestServices()).until_ready()

    assert not output.getvalue()


@pytest.mark.parametrize("is_worker", [False, True])
async def test_a_start_whose_posts_are_refused_says_why_once_and_waits(
    output: io.StringIO,
    is_worker: bool,  # noqa: FBT001
) -> None:
    """Once, even if figures in the reason change."""
    troubled = IngestServices("The queue's disk is almost full: 1 bytes are free")
    started = _watch(output, IngestServices(), worker=troubled) if is_worker else _watch(output, troubled)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(started.until_ready())
        await until(lambda: "disk" in output.getvalue())
        troubled.found = "The queue's disk is almost full: 2 bytes are free"
        await asyncio.sleep(0)
        assert not waiting.done()
        troubled.found = None

    first, last = output.getvalue().splitlines()
    assert first.endswith("not stored: The queue's disk is almost full: 1 bytes are free")
    assert last.endswith("Events are accepted again.")


async def test_later_refusals_are_reported_too(output: io.StringIO) -> None:
    """And their end."""
    ingest = IngestServices()
    reporting = asyncio.ensure_future(_watch(output, ingest).keep_reporting())
    ingest.found = "The queue is full."
    await until(lambda: "The queue is full." in output.getvalue())
    ingest.found = None
    await until(lambda: "Events are accepted again." in output.getvalue())
    reporting.cancel()
    await asyncio.wait([reporting])
