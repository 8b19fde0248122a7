"""The result of a load run: reads the locustfile's report, judges it and sums it up in a few lines. Pure."""

from dataclasses import dataclass
from typing import Final

import msgspec

FOUND: Final = "posted event is found"
"""The entry that says how long it took until an event could be read; its failures are missing events."""


class Request(msgspec.Struct, frozen=True):
    """One kind of request. Times are in milliseconds; `events_each` is how many events one of them posts."""

    name: str
    events_each: int
    count: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Report(msgspec.Struct, frozen=True):
    """What the locustfile writes at the end of a run."""

    seconds: float
    requests: tuple[Request, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BulkResult:
    """Whether the run passed, and a text for people."""

    is_good: bool
    text: str


def read_report(content: bytes) -> Report:
    """The report of a run. Raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(content, type=Report)


def judge(report: Report) -> BulkResult:
    """A run passes if events were posted and read back, nothing failed and nothing is missing."""
    sent = [request for request in report.requests if request.name != FOUND]
    reads = [request for request in report.requests if request.name == FOUND]
    posts, read, missing = _posts(sent), _count(reads), _failures(reads)
    failures = _failures(sent)
    is_good = posts > 0 and read > 0 and failures == 0 and missing == 0
    seconds = max(report.seconds, 0.001)
    requests_rate, events_rate = _count(sent) / seconds, _events(sent) / seconds
    lines = [
        f"{'':24}{'count':>9}{'per s':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>9}{'failed':>8}",
        *(_line(request, seconds) for request in sorted(report.requests, key=lambda each: each.name)),
        "",
        f"{requests_rate:,.0f} requests/s, {events_rate:,.0f} events/s accepted over {seconds:.0f} s",
        f"{failures} failures, {read} events looked for, {missing} missing",
        *report.errors,
        "passed" if is_good else "FAILED",
    ]
    return BulkResult(is_good, "\n".join(lines))


def _line(request: Request, seconds: float) -> str:
    times = "".join(
        f"{each:9,.0f}" for each in (request.p50_ms, request.p95_ms, request.p99_ms, request.max_ms)
    )
    return f"{request.name:24}{request.count:9,}{request.count / seconds:9,.0f}{times}{request.failures:8,}"


def _count(requests: list[Request]) -> int:
    return sum(request.count for request in requests)


def _failures(requests: list[Request]) -> int:
    return sum(request.failures for request in requests)


def _posts(requests: list[Request]) -> int:
    return sum(request.count - request.failures for request in requests if request.events_each)


def _events(requests: list[Request]) -> int:
    return sum((request.count - request.failures) * request.events_each for request in requests)
