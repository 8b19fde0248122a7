"""The result of a load run: reads the locustfile's report, judges it and sums it up in a few lines. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import msgspec

FOUND: Final = "posted event is found"
"""The entry that says how long it took until an event could be read; its failures are missing events."""


_FIGURES: Final = ("p50", "p95", "p99", "max")
_OF_FOUND: Final = "found."


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


class Step(msgspec.Struct, frozen=True):
    """One step of the search for the limit: its users, and what they came to."""

    users: int
    posts_per_second: float
    events_per_second: float
    p99_ms: float
    failed: int
    cpu_percent: float


class Report(msgspec.Struct, frozen=True):
    """What the locustfile writes at the end of a run.

    `refused` says why the run was ended if a token was refused, `stopped` why the search for the limit was.
    """

    seconds: float
    requests: tuple[Request, ...]
    errors: tuple[str, ...]
    refused: str = ""
    steps: tuple[Step, ...] = ()
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A figure that must not be exceeded, in milliseconds: of posts, or until a posted event is found."""

    figure: str
    most_ms: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `p99=250` or `found.p99=2000`. Raises ValueError."""
        figure, _, most = text.partition("=")
        if figure.removeprefix(_OF_FOUND) not in _FIGURES:
            raise ValueError(
                f"{figure!r} is not one of {', '.join(_FIGURES)}, or of {_OF_FOUND}p99 and so on"
            )
        return cls(figure, float(most))

    def exceeded(self, report: Report) -> Iterator[str]:
        """A sentence for each kind of request that exceeds it."""
        name = self.figure.removeprefix(_OF_FOUND)
        for request in report.requests:
            is_meant = request.name == FOUND if self.figure != name else request.events_each > 0
            value = float(getattr(request, f"{name}_ms"))
            if is_meant and value > self.most_ms:
                yield f"{request.name}: {name} was {value:,.0f} ms, above {self.most_ms:,.0f} ms"


@dataclass(frozen=True, slots=True)
class BulkResult:
    """Whether the run passed, and a text for people."""

    is_good: bool
    text: str


def read_report(content: bytes) -> Report:
    """The report of a run. Raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(content, type=Report)


def judge(report: Report, thresholds: Sequence[Threshold] = ()) -> BulkResult:
    """A run passes if events were posted and read back, and nothing failed, is missing or too slow."""
    sent = [request for request in report.requests if request.name != FOUND]
    reads = [request for request in report.requests if request.name == FOUND]
    posts, read, missing = _posts(sent), _count(reads), _failures(reads)
    failures = _failures(sent)
    slow = [sentence for each in thresholds for sentence in each.exceeded(report)]
    is_good = posts > 0 and read > 0 and failures == 0 and missing == 0 and not slow
    seconds = max(report.seconds, 0.001)
    requests_rate, events_rate = _count(sent) / seconds, _events(sent) / seconds
    lines = [
        f"{'':28}{'count':>9}{'per s':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>9}{'failed':>8}",
        *(_line(request, seconds) for request in sorted(report.requests, key=lambda each: each.name)),
        "",
        f"{requests_rate:,.0f} requests/s, {events_rate:,.0f} events/s accepted over {seconds:.0f} s",
        f"{failures} failures, {read} events looked for, {missing} missing",
        *report.errors,
        *slow,
        "passed" if is_good else "FAILED",
    ]
    return BulkResult(is_good, "\n".join(lines))


def limit_text(report: Report) -> str:
    """The steps of the search for the limit, and the best step that was still good."""
    lines = [
        f"{'users':>8}{'posts/s':>10}{'events/s':>10}{'p99 ms':>9}{'failed':>8}{'senders':>9}",
        *(
            f"{step.users:8,}{step.posts_per_second:10,.0f}{step.events_per_second:10,.0f}{step.p99_ms:9,.0f}"
            f"{step.failed:8,}{step.cpu_percent / 100:9.2f}"
            for step in report.steps
        ),
        "",
        f"Stopped: {report.stopped or 'the time was over, and nothing said stop'}.",
    ]
    # The last step is the one that said stop.
    good = report.steps[:-1] if report.stopped else report.steps
    if good:
        best = max(good, key=lambda step: step.events_per_second)
        lines.append(
            f"The limit here: {best.events_per_second:,.0f} events/s in {best.posts_per_second:,.0f} posts/s"
            f" of {best.users} users, with a p99 of {best.p99_ms:,.0f} ms."
        )
    else:
        lines.append("Even the first step was too much; begin with fewer users.")
    return "\n".join(lines)


def _line(request: Request, seconds: float) -> str:
    times = "".join(
        f"{each:9,.0f}" for each in (request.p50_ms, request.p95_ms, request.p99_ms, request.max_ms)
    )
    return f"{request.name:28}{request.count:9,}{request.count / seconds:9,.0f}{times}{request.failures:8,}"


def _count(requests: list[Request]) -> int:
    return sum(request.count for request in requests)


def _failures(requests: list[Request]) -> int:
    return sum(request.failures for request in requests)


def _posts(requests: list[Request]) -> int:
    return sum(request.count - request.failures for request in requests if request.events_each)


def _events(requests: list[Request]) -> int:
    return sum((request.count - request.failures) * request.events_each for request in requests)
