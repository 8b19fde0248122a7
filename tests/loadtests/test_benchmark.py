"""`make bench` as a whole, in the shortest possible slices, and its command line."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from collector.broker.queue.post_stream import UNBOUNDED_BYTES
from collector.process.lifecycle import Stop
from loadtests.benchmark import parse
from loadtests.benchmarks.drain import LOADS, MemoryStream, make_backlog
from tests.support.waiting import until

LIMIT_SECONDS = 300
NEEDS_TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a benchmark needs two cores")


@asynccontextmanager
async def running(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The benchmark as a process, for a bounded time."""
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.benchmark", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield bench
    finally:
        if bench.returncode is None:
            bench.terminate()
            await bench.communicate()


@NEEDS_TWO_CORES
@pytest.mark.integration
async def test_every_part_yields_figures_and_both_reports_are_written(tmp_path: Path) -> None:
    """Too short to mean anything, but complete: each figure has its pairs. A missed goal is not a failure."""
    async with running("--slices", "2", "--slice-seconds", "0.2", "--output", str(tmp_path)) as bench:
        output, errors = await bench.communicate()

    assert bench.returncode == 0, errors.decode()
    written = {file.suffix: file.read_bytes() for file in files_in(tmp_path)}
    assert written[".md"] in output
    figures = msgspec.json.decode(written[".json"])["figures"]
    assert [figure["name"].partition(",")[0] for figure in figures] == [
        *["ingest"] * 3,
        *["drain"] * 4,
        *["appendfsync always"] * 2,
        *["queue memory"] * 2,
    ]
    assert all(len(figure["pairs"]) == 2 and figure["ratio"]["lower"] > 0 for figure in figures)


@NEEDS_TWO_CORES
@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_run_stops_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """No server, sender or folder is left, and there is no report."""
    work, results = tmp_path / "work", tmp_path / "results"
    work.mkdir()
    monkeypatch.setenv("TMPDIR", str(work))
    words = ("--only", "ingest", "--slices", "1000", "--slice-seconds", "0.1", "--output", str(results))
    async with running(*words) as bench:
        await until(lambda: len(servers_in(work)) == 3, LIMIT_SECONDS, "queue, ingest and bare application")
        bench.send_signal(number)
        await bench.communicate()

    assert bench.returncode == 130
    assert files_in(tmp_path) == [work]
    assert files_in(work) == []
    assert servers_in(work) == []


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def servers_in(folder: Path) -> list[str]:
    """The processes that write a log in the folder."""
    links = [link for link in Path("/proc").glob("[0-9]*/fd/1") if _target(link).startswith(str(folder))]
    return [str(link) for link in links]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # it has ended in the meantime
        return ""


@pytest.mark.parametrize(
    ("words", "slices"),
    [
        pytest.param([], 15, id="as it comes"),
        pytest.param(["--seconds", "60"], 3, id="less time"),
        pytest.param(["--seconds", "1"], 2, id="never fewer than two"),
        pytest.param(["--slice-seconds", "0.5"], 30, id="shorter slices are more of them"),
        pytest.param(["--seconds", "60", "--slices", "9"], 9, id="a number that is given"),
    ],
)
def test_the_time_decides_the_number_of_slices(words: list[str], slices: int) -> None:
    """Less time gives wider quartiles, not shorter slices."""
    assert parse(words).slices == slices


def test_one_part_can_be_run_alone() -> None:
    assert parse(["--only", "drain", "--only", "ingest"]).only == ["drain", "ingest"]
    with pytest.raises(SystemExit):
        parse(["--only", "everything"])


async def test_a_backlog_is_delivered_once_and_its_last_acknowledgement_ends_the_slice() -> None:
    """The worker's loop runs on it as on Redis, until the last commit."""
    stop = Stop()
    backlog = make_backlog(LOADS[1], 350)
    stream = MemoryStream(backlog.entries, stop)

    first = await stream.read("worker", 1, block_ms=10, worth_bytes=UNBOUNDED_BYTES)
    rest = await stream.read("worker", 100, block_ms=10, worth_bytes=UNBOUNDED_BYTES)

    assert backlog.events == 400  # whole entries
    assert [len(entries) for entries in (first, rest)] == [1, 1]
    assert await stream.read("worker", 100, block_ms=10, worth_bytes=UNBOUNDED_BYTES) == []
    await stream.acknowledge(rest)
    assert not stop.is_requested
    await stream.acknowledge(first)
    assert stop.is_requested
