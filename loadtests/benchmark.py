"""`make bench`: compares the collector's parts with the best that this machine can do.

Starts its servers in a temporary directory on loopback, stops them again, prints the figures and writes a
Markdown and a JSON report to loadtests/results. The report names missed goals; the exit status is 0 even
then, and 2 if there are no figures.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from collector.embedded.service import NotStarted
from collector.process.lifecycle import StartError
from loadtests.benchmarks.drain import measure_drain
from loadtests.benchmarks.error import BenchmarkError
from loadtests.benchmarks.ingest import measure_fsync, measure_ingest, measure_memory
from loadtests.benchmarks.machine import Cores, machine_facts, revision, share_out
from loadtests.benchmarks.report import Figure, Report, as_json, as_markdown, as_svg
from loadtests.benchmarks.sender import Sender
from loadtests.benchmarks.slices import Extent

Measure = Callable[[Path, Cores, Extent, Callable[[], None]], Awaitable[list[Figure]]]

RESULTS: Final = Path(__file__).with_name("results")

_SECONDS_PER_PAIR: Final = 23
"""What one more pair of slices for each figure takes, all parts together, with slices of one second."""
_FEWEST_PAIRS: Final = 2
_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the benchmark; `ticks` is how many slices it takes for each pair of its extent.

    A figure that hardly varies is measured once per `every` pairs of the others.
    """

    title: str
    measure: Measure
    ticks: int
    every: int = 1

    def extent(self, slices: int, slice_seconds: float) -> Extent:
        """This part's share, given the number of slices of the others."""
        return Extent(max(_FEWEST_PAIRS, slices // self.every), slice_seconds)


PARTS: Final = {
    "ingest": Part("Ingest against a bare aiohttp application", measure_ingest, 6),
    "drain": Part("The drain against the server's own COPY", measure_drain, 8),
    "fsync": Part("appendfsync always against everysec", measure_fsync, 4),
    "memory": Part("Queue memory for each byte posted", measure_memory, 2, every=3),
}


def main() -> int:
    """Return the exit status: 0 with figures, 2 without, 130 after an interruption."""
    arguments = parse(sys.argv[1:])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(until_interrupted(run(arguments)))
    except (BenchmarkError, StartError, NotStarted) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        return _INTERRUPTED
    written = write(report, arguments.output)
    print(written[0].read_text(encoding="utf-8"))
    for path in written:
        print(f"Written: {path}")
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.benchmark", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be repeated (all)")
    parser.add_argument(
        "--seconds", type=float, default=345, help="about how long all parts take (%(default)s)"
    )
    parser.add_argument(
        "--slices", type=int, help="pairs of slices for each figure (as many as --seconds allows)"
    )
    parser.add_argument("--slice-seconds", type=float, default=1, help="length of a slice (%(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the reports go (%(default)s)")
    arguments = parser.parse_args(words)
    if arguments.slices is None:
        pairs = arguments.seconds / arguments.slice_seconds / _SECONDS_PER_PAIR
        arguments.slices = max(_FEWEST_PAIRS, round(pairs))
    return arguments


async def until_interrupted(running: Awaitable[Report]) -> Report:
    """Run until done, or until Ctrl-C or SIGTERM; everything that was started is stopped either way."""
    task = asyncio.ensure_future(running)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


async def run(arguments: argparse.Namespace) -> Report:
    """Measure each part in turn, each on its own servers."""
    began_utc, began = datetime.now(UTC), time.monotonic()
    cores = share_out(os.sched_getaffinity(0))
    figures: list[Figure] = []
    with progress_display() as progress:
        for part in [PARTS[name] for name in PARTS if name in (arguments.only or PARTS)]:
            extent = part.extent(arguments.slices, arguments.slice_seconds)
            task = progress.add_task(part.title, total=part.ticks * extent.slices)
            on_slice = partial(progress.update, task, advance=1, refresh=True)
            with tempfile.TemporaryDirectory(prefix="headrace-bench-", ignore_cleanup_errors=True) as folder:
                figures += await part.measure(Path(folder), cores, extent, on_slice)
    facts, how = machine_facts(), settings(cores, arguments.slice_seconds)
    return Report(began_utc, time.monotonic() - began, facts, how, figures)


def progress_display() -> Progress:
    """A progress bar that is drawn only between slices, so that nothing else runs during one."""
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)


def settings(cores: Cores, slice_seconds: float) -> dict[str, str]:
    """How it was measured."""
    return {
        "revision": revision(),
        "measured on core": ", ".join(map(str, sorted(cores.measured))),
        "sender and servers on": ", ".join(map(str, sorted(cores.others))),
        "sender": Sender(cores.others, slice_seconds, "").description,
        "Valkey": "embedded, appendonly yes, appendfsync always where nothing else is said",
        "Postgres": "embedded, durable, max_wal_size 4GB, the rest as it comes",
    }


def write(report: Report, folder: Path) -> list[Path]:
    """Write the reports and the picture, with the time in their names."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"benchmark-{report.began_utc:%Y%m%d-%H%M%S}"
    markdown, json, picture = (folder / f"{name}{suffix}" for suffix in (".md", ".json", ".svg"))
    markdown.write_text(f"{as_markdown(report)}\n![The ratios]({picture.name})\n", encoding="utf-8")
    json.write_bytes(as_json(report))
    picture.write_text(as_svg(report), encoding="utf-8")
    return [markdown, json, picture]


if __name__ == "__main__":
    sys.exit(main())
