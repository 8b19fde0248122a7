"""The report of a benchmark, from made-up figures."""

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import msgspec
import pytest

from loadtests.benchmarks.report import Figure, Goal, Report, as_json, as_markdown, as_svg
from loadtests.benchmarks.slices import Pair

RATIOS = (0.8, 0.9, 1.0, 1.1, 1.2)


def a_figure(goal: Goal | None = None) -> Figure:
    """Five pairs whose ratios have the median 1.0 and the quartiles 0.9 and 1.1."""
    return Figure(
        name="ingest, one event a post",
        against="bare aiohttp application",
        unit="posts/s",
        pairs=[Pair(20_000 * ratio, 20_000) for ratio in RATIOS],
        goal=goal,
        notes=("ingest used 0.99 of its core",),
    )


def a_report(*figures: Figure) -> Report:
    """A run of four minutes."""
    began = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
    return Report(began, 240.4, {"CPU": "some CPU, 2 cores"}, {"sender": "wrk"}, figures)


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        pytest.param(None, "no goal", id="without a goal"),
        pytest.param(Goal(1.0), "met", id="just reached"),
        pytest.param(Goal(1.01), "MISSED", id="just missed"),
        pytest.param(Goal(1.0, is_ceiling=True), "met", id="just below the ceiling"),
        pytest.param(Goal(0.99, is_ceiling=True), "MISSED", id="above the ceiling"),
    ],
)
def test_the_median_is_judged_by_the_goal(goal: Goal | None, verdict: str) -> None:
    """Some goals are minimums; that of the queue's memory is a maximum."""
    assert a_figure(goal).verdict == verdict


def test_the_markdown_shows_ratio_quartiles_goal_and_verdict_in_a_row() -> None:
    """One table row per figure, for quoting."""
    lines = as_markdown(a_report(a_figure(Goal(1.2)))).splitlines()

    [row] = [line for line in lines if "| bare aiohttp application |" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:] == ["**1.00**", "0.90 to 1.10", "5", "at least 1.2", "MISSED"]


def test_the_markdown_shows_the_context_of_the_figures() -> None:
    """Absolute figures apart from the ratios, notes, machine, settings and duration."""
    lines = as_markdown(a_report(a_figure())).splitlines()

    assert lines[0] == "# Benchmark of 2026-11-22 10:30 UTC"
    assert "| ingest, one event a post | 20,000 | 20,000 | posts/s |  |  |" in lines
    assert "- ingest, one event a post: ingest used 0.99 of its core" in lines
    assert "| CPU | some CPU, 2 cores |" in lines
    assert "| sender | wrk |" in lines
    assert "| duration | 240 s |" in lines


def test_the_json_has_every_pair_and_the_results() -> None:
    """So the median can be recomputed."""
    report = msgspec.json.decode(as_json(a_report(a_figure(Goal(0.4, is_ceiling=True)))))

    [figure] = report["figures"]
    assert [pair["subject"] / pair["reference"] for pair in figure["pairs"]] == pytest.approx(RATIOS)
    assert figure["ratio"] == pytest.approx({"median": 1.0, "lower": 0.9, "upper": 1.1})
    assert figure["goal"] == {"ratio": 0.4, "is_ceiling": True}
    assert figure["verdict"] == "MISSED"
    assert report["machine"] == {"CPU": "some CPU, 2 cores"}


def test_the_report_begins_with_a_summary_for_operators() -> None:
    """Events a second with the p99, then each goal with a reason where it is missed."""
    measured = msgspec.structs.replace(a_figure(Goal(1.2)), events_each=50, p99_ms=(12.34, 9.0))

    text = as_markdown(a_report(measured))

    assert text.index("events a second") < text.index("| what | against |")
    assert "**1,000,000 events a second** accepted by one ingest process (ingest, one event a post:" in text
    assert "20,000 posts a second, p99 12.3 ms)." in text
    assert (
        "- Missed: ingest, one event a post, 1.00 times bare aiohttp application; the goal is at least 1.2;"
        " ingest used 0.99 of its core." in text
    )
    assert "| 20,000 | 20,000 | posts/s | 12.3 | 9.0 |" in text


def test_the_picture_has_a_row_for_each_figure() -> None:
    """In red where a goal is missed; names are escaped."""
    figure = msgspec.structs.replace(a_figure(Goal(1.2)), name="a < b")

    picture = ET.fromstring(as_svg(a_report(figure, a_figure())))  # noqa: S314 - our own

    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    circles = [element.get("fill") for element in picture.iter("{http://www.w3.org/2000/svg}circle")]
    assert "a < b" in texts
    assert texts.count("1.00") == 2
    assert circles == ["#b3261e", "#1b6e3c"]
