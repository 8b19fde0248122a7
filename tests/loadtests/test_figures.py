"""Judging a load run, on made-up reports."""

import msgspec
import pytest

from loadtests.figures import FOUND, Report, Request, Step, Threshold, judge, limit_text, read_report


def a_request(name: str = "POST one event", **changes: object) -> Request:
    """A kind of request without failures."""
    sent = Request(
        name=name,
        events_each=1,
        count=100,
        failures=0,
        p50_ms=2,
        p95_ms=5,
        p99_ms=9,
        max_ms=20,
    )
    return msgspec.structs.replace(sent, **changes)


def a_read(**changes: object) -> Request:
    """Events that were looked up after their 202 and found."""
    return a_request(FOUND, events_each=0, count=5, **changes)


def a_report(*requests: Request, seconds: float = 10) -> Report:
    """A report as the locustfile writes it."""
    return Report(seconds=seconds, requests=requests, errors=())


def test_a_run_without_failures_is_good() -> None:
    """Everything was accepted and found."""
    assert judge(a_report(a_request(), a_read())).is_good


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(a_report(), id="nothing was sent"),
        pytest.param(a_report(a_read()), id="nothing was posted"),
        pytest.param(a_report(a_request()), id="nothing was read back"),
        pytest.param(a_report(a_request(failures=1), a_read()), id="a post failed"),
        pytest.param(a_report(a_request(failures=100), a_read()), id="every post failed"),
        pytest.param(a_report(a_request(), a_read(failures=1)), id="an event is missing"),
    ],
)
def test_a_run_that_proves_nothing_or_lost_something_is_bad(report: Report) -> None:
    assert not judge(report).is_good


def test_events_are_counted_by_the_size_of_each_post() -> None:
    """100 single events and 9 of 10 batches of 50 are 550 events; reads do not count."""
    batches = a_request("POST 50 events", events_each=50, count=10, failures=1)

    text = judge(a_report(a_request(), batches, a_read())).text

    assert "11 requests/s, 55 events/s accepted over 10 s" in text
    assert "1 failures, 5 events looked for, 0 missing" in text


def test_the_errors_of_a_run_are_shown() -> None:
    report = Report(seconds=1, requests=(a_request(failures=1),), errors=("POST one event: answered 503",))

    assert "POST one event: answered 503" in judge(report).text


def test_a_run_of_zero_seconds_is_reported() -> None:
    """As when it is stopped immediately."""
    assert not judge(a_report(seconds=0)).is_good


def test_a_report_survives_being_written_and_read() -> None:
    """As plain JSON."""
    report = a_report(a_request(), a_read())

    assert read_report(msgspec.json.encode(report)) == report


@pytest.mark.parametrize(
    ("threshold", "sentence"),
    [
        ("p99=8", "POST one event: p99 was 9 ms, above 8 ms"),
        ("found.p95=4.5", f"{FOUND}: p95 was 5 ms, above 4 ms"),
        ("max=20", None),
        ("found.max=20", None),
    ],
)
def test_a_run_that_is_slower_than_its_threshold_is_bad(threshold: str, sentence: str | None) -> None:
    result = judge(a_report(a_request(), a_read()), [Threshold.parse(threshold)])

    assert result.is_good == (sentence is None)
    assert sentence is None or sentence in result.text


@pytest.mark.parametrize("text", ["p98=1", "p99", "p99=soon", "lost.p99=1"])
def test_a_threshold_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"p99|float"):
        Threshold.parse(text)


def test_the_limit_is_the_best_step_before_the_one_that_said_stop() -> None:
    steps = tuple(Step(users, users * 10, users * 20, 40, 0, 50) for users in (10, 20, 30))
    text = limit_text(Report(1, (), (), steps=steps, stopped="the p99 of posts was 612 ms"))

    assert "Stopped: the p99 of posts was 612 ms." in text
    assert "The limit here: 400 events/s in 200 posts/s of 20 users, with a p99 of 40 ms." in text
    assert "the first step was too much" in limit_text(Report(1, (), (), steps=steps[:1], stopped="x"))
