"""`make bench-read` on a small scale: it loads, resumes loading, measures and reports."""

import asyncio
import sys
from pathlib import Path

import pytest

from loadtests.benchmark_read import Measured, as_markdown, percentile

LIMIT_SECONDS = 120


async def benched(folder: Path, *words: str) -> tuple[int | None, str, str]:
    """Run it; return its exit status and output."""
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.benchmark_read", "--repeats", "1"),
        *("--folder", str(folder / "data"), "--output", str(folder / "results"), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            output, errors = await bench.communicate()
    finally:
        if bench.returncode is None:
            bench.kill()
            await bench.wait()
    return bench.returncode, output.decode(), errors.decode()


@pytest.mark.integration
async def test_loading_resumes_and_every_kind_of_reading_is_measured(tmp_path: Path) -> None:
    """On the requested number of events."""
    for events in ("1000", "3000"):
        status, output, errors = await benched(tmp_path, "--events", events)
        assert status == 0, errors
        assert f"# Reading {int(events):,} events" in output

    for name in ("by reference", "by id", "first page: everything", "count: everything", "chart", "stacks"):
        assert f"\n| {name}" in output
    assert "3000/3000" in errors
    assert len(list((tmp_path / "results").glob("read-*.md"))) >= 1


def test_a_percentile_is_the_figure_that_this_share_does_not_exceed() -> None:
    """Of few figures, the highest one is the largest figure."""
    seconds = [number / 100 for number in range(100, 0, -1)]

    assert percentile(seconds, 0.5) == 0.51
    assert percentile(seconds, 0.99) == 1.0
    assert percentile([1.0], 0.99) == 1.0


def test_slow_queries_are_reported_with_their_plan() -> None:
    report = as_markdown([Measured("first page: x", 0.7, [0.6, 0.1], ["Seq Scan on events"])], 7)

    assert "| first page: x | 700.0 | 600.0 |" in report
    assert "## first page: x\n\n```\nSeq Scan on events\n```" in report
