"""`make bench-read`: measures reading from a million events, and records the plans of slow queries.

Measured inside the server, from the filter's text to the bytes of the answer, without network and HTTP.
Cold is the first run after a start of Postgres; the files may still be in the page cache.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from collector.api.events.events import event_view
from collector.database.pool import close_pool, create_pool
from collector.database.schema.migrations import migrate
from collector.database.search.event_counts import count_in_buckets
from collector.database.search.event_lists import Selection, find_page
from collector.database.search.events import EventKey, find_event, find_events_by_key
from collector.database.search.stack_lists import StackMode, count_users, find_stacks_of_events
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.aggregation import parse_aggregations
from collector.domain.filter.parser import parse_filter
from collector.embedded.servers.postgres import Postgres
from collector.embedded.service import NotStarted, start_service
from collector.process.lifecycle import StartError
from loadtests.benchmarks.machine import machine_facts
from loadtests.benchmarks.read_data import PROJECT, load

RESULTS: Final = Path(__file__).with_name("results")
SLOW_SECONDS: Final = 0.5
"""Whatever takes longer has its plan in the report."""

_PAGE: Final = 10
_STATEMENT_SECONDS: Final = 60
_FILTERS: Final = (
    "",
    "type:error",
    "level:warn",
    "source:Shop.Orders.Checkout",
    "tag:red value:>900",
    "user:user-42",
    "message:4711",
    "error.type:InvalidOperationException path:checkout",
    "version:4.12 -level:debug",
    "status:open type:log",
    "status:fixed",
    "type:session",
)
_CHARTS: Final = {
    "chart with stacks": "date:(date~1d cardinality:stack sum:count~1) cardinality:stack sum:count~1",
    "chart with stacks, offset": "date:(date~1d^-5h cardinality:stack sum:count~1)",
    "chart with users": "date:(date~1d cardinality:user sum:count~1) cardinality:user",
    "first occurrences": "terms:(first @include:true) date:(date~1d terms:first)",
}
_SELECTIONS: Final = ("", "status:open", "type:error")
"""The filters that charts and lists of stacks are measured with."""
_LIST_SECONDS: Final = 7.0
_IN_NO_EVENT: Final = ("unheardof", "ref.session:unheardof")
_ALL_TIME: Final = TimeRange()
_GOALS: Final = {
    "by reference": "p99 <= 5 ms",
    "first page": "p95 <= 150 ms",
    "stacks": "p95 <= 150 ms",
    "chart": "p95 <= 150 ms",
    "count": "p95 <= 500 ms",
}

Query = Callable[[asyncpg.Connection], Awaitable[object]]


class Reading(NamedTuple):
    """One kind of query, and its variants, which are run in turn."""

    name: str
    queries: Sequence[Query]


class Measured(NamedTuple):
    """How long the queries took, in seconds: cold, then warm; and the plans of slow ones."""

    name: str
    cold: float
    warm: Sequence[float]
    plans: Sequence[str]


class Recorder:
    """A connection that records its queries, so that they can be explained."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        """As the connection does."""
        self.asked.append((statement, arguments))
        return await self._connection.fetch(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        """As the connection does."""
        self.asked.append((statement, arguments))
        return await self._connection.fetchval(statement, *arguments)

    def transaction(self) -> Any:
        """As the connection does."""
        return self._connection.transaction()

    async def execute(self, statement: str, *arguments: Any) -> Any:
        """As the connection does; settings are not recorded."""
        return await self._connection.execute(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        """As the connection does."""
        self.asked.append((statement, arguments))
        return await self._connection.fetchrow(statement, *arguments)


def main() -> int:
    """Return the exit status: 0 with figures, 2 without, 130 after an interruption."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that being stopped also stops Postgres
    arguments = parse(sys.argv[1:])
    try:
        report = asyncio.run(run(arguments))
    except (StartError, NotStarted) as error:
        print(f"bench-read: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(report)
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / f"read-{datetime.now(UTC):%Y%m%d-%H%M%S}.md"
    path.write_text(report)
    print(f"Written: {path}")
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.benchmark_read", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many there are (%(default)s)")
    parser.add_argument("--repeats", type=int, default=20, help="warm runs of each query (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path(".headrace/bench-read"), help="where the data stays"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the report goes (%(default)s)")
    return parser.parse_args(words)


async def run(arguments: argparse.Namespace) -> str:
    """Load the missing events, restart the server, measure."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    postgres = Postgres(arguments.folder.resolve(), is_durable=False)
    child = await start_service(postgres)
    try:
        end = await _loaded(postgres.url, arguments)
    finally:
        await child.stop()
    child = await start_service(postgres)
    try:
        pool = await create_pool(postgres.url, max_size=1, statement_timeout_seconds=_STATEMENT_SECONDS)
        try:
            measured = [
                await measure(pool, reading, arguments.repeats) for reading in await readings(pool, end)
            ]
        finally:
            await close_pool(pool)
    finally:
        await child.stop()
    return as_markdown(measured, arguments.events)


async def readings(pool: asyncpg.Pool, now: datetime) -> list[Reading]:
    """Everything that is measured."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT id, reference_id FROM events WHERE reference_id IS NOT NULL"
            " ORDER BY md5(reference_id) LIMIT 100"
        )
    clock = LocalClock(now)

    def selected(text: str, time: TimeRange = _ALL_TIME) -> Selection:
        return Selection([PROJECT], parse_filter(text), time, clock)

    def page(text: str, time: TimeRange = _ALL_TIME) -> Query:
        return lambda connection: first_page(connection, selected(text, time))

    def counted(text: str, aggregations: str, time: TimeRange = _ALL_TIME) -> Query:
        return lambda connection: count_in_buckets(
            connection, selected(text, time), parse_aggregations(aggregations)
        )

    def stacks(text: str, mode: StackMode, time: TimeRange) -> Query:
        return lambda connection: first_stacks(connection, selected(text, time), mode)

    def last(days: int) -> TimeRange:
        return TimeRange(now - timedelta(days=days))

    def by_id(event_id: Any) -> Query:
        return lambda connection: find_event(connection, [PROJECT], event_id)

    return [
        Reading("by reference", [page(f"reference:{row['reference_id']}") for row in rows]),
        Reading("by id", [by_id(row["id"]) for row in rows]),
        *(Reading(f"first page: {text or 'everything'}", [page(text)]) for text in _FILTERS),
        *(Reading(f"in no event: {text}", [page(text)]) for text in _IN_NO_EVENT),
        Reading("in no event of one day: unheardof", [page("unheardof", _day_before(now, days=20))]),
        Reading("count: everything", [counted("", "")]),
        Reading("count: type:error", [counted("type:error", "")]),
        Reading("count: message:4711", [counted("message:4711", "")]),
        *(
            Reading(
                f"stacks: {mode.name.lower()}, {days} days {text}".rstrip(), [stacks(text, mode, last(days))]
            )
            for mode in StackMode
            for days in (7, 30)
            for text in _SELECTIONS
        ),
        *(
            Reading(f"chart: {name}, {days} days {text}".rstrip(), [counted(text, aggregations, last(days))])
            for name, aggregations in _CHARTS.items()
            for days in (7, 30)
            for text in _SELECTIONS
        ),
    ]


def _day_before(now: datetime, days: int) -> TimeRange:
    end = now - timedelta(days=days)
    return TimeRange(end - timedelta(days=1), end)


async def first_page(connection: asyncpg.Connection, selection: Selection) -> bytes:
    """The first page of a list, as the answer has it."""
    found = (await find_page(connection, selection, limit=_PAGE + 1, seconds=_LIST_SECONDS)).events
    events = (
        await find_events_by_key(connection, [EventKey(key.project_id, key.id) for key in found])
        if found
        else []
    )
    return orjson.dumps([event_view(event) for event in events[:_PAGE]], option=orjson.OPT_UTC_Z)


async def first_stacks(connection: asyncpg.Connection, selection: Selection, mode: StackMode) -> object:
    """The first page of a list of stacks, as the API reads it, with the users of all of them."""
    found = await find_stacks_of_events(connection, selection, mode, limit=_PAGE + 1, offset=0)
    return found, await count_users(connection, selection)


async def measure(pool: asyncpg.Pool, reading: Reading, repeats: int) -> Measured:
    """Run each query once cold, then all of them repeatedly."""
    plans: list[str] = []
    async with pool.acquire() as connection:
        recorder = Recorder(connection)
        cold = await _seconds(reading.queries[0], recorder)
        warm = [await _seconds(query, recorder) for _ in range(repeats) for query in reading.queries]
        if max(cold, *warm) > SLOW_SECONDS:
            recorder.asked.clear()
            await reading.queries[0](recorder)
            plans = await _plans(connection, recorder.asked)
    return Measured(reading.name, cold, warm, plans)


def as_markdown(measured: Iterable[Measured], events: int) -> str:
    """The report."""
    lines = [f"# Reading {events:,} events", ""]
    lines += [f"- {name}: {fact}" for name, fact in machine_facts().items()]
    lines += ["", "| query | cold ms | p50 ms | p95 ms | p99 ms | goal |", "|---|---|---|---|---|---|"]
    plans = []
    for one in measured:
        figures = [one.cold, *(percentile(one.warm, share) for share in (0.5, 0.95, 0.99))]
        shown = " | ".join(f"{seconds * 1000:.1f}" for seconds in figures)
        lines.append(f"| {one.name} | {shown} | {_GOALS.get(one.name.partition(':')[0], '')} |")
        plans += [f"\n## {one.name}\n\n```\n{plan}\n```" for plan in one.plans]
    return "\n".join([*lines, *plans, ""])


def percentile(seconds: Sequence[float], share: float) -> float:
    """The smallest figure that is at least as large as this share of them."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]


async def _loaded(url: str, arguments: argparse.Namespace) -> datetime:
    await migrate(url)
    pool = await create_pool(url, max_size=3, command_timeout_seconds=900)
    columns = (TextColumn("Loading events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=arguments.events)
            return await load(
                pool, arguments.folder, arguments.events, lambda done: progress.update(task, completed=done)
            )
    finally:
        await close_pool(pool)


async def _seconds(query: Query, recorder: Recorder) -> float:
    began = time.perf_counter()
    await query(recorder)
    return time.perf_counter() - began


async def _plans(connection: asyncpg.Connection, asked: Iterable[tuple[str, tuple[Any, ...]]]) -> list[str]:
    """With what each step took."""
    plans = []
    for statement, arguments in asked:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *arguments)
        plans.append("\n".join(row[0] for row in rows))
    return plans


if __name__ == "__main__":
    sys.exit(main())
