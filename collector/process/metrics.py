"""The catalogue of all metrics: names, meanings, labels, and when to look into them.

`docs/metrics.md` is generated from it. Every label has a bounded number of values: none comes from a client,
and none names a project, a person or an event.
"""

import asyncio
import gc
import platform
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from collector.domain.event.outcome import Outcome, Tally

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LOOP_CHECK_SECONDS: Final = 0.5
"""How often a timer checks how late the event loop is."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_AGES: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600)
_LONG: Final = (1, 5, 15, 60, 300, 900, 3600, 10800, 21600)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_OLDEST_GENERATION: Final = 2

# A second series for each counter and histogram that says when it was created: Prometheus does not need it.
disable_created_metrics()  # type: ignore[no-untyped-call]

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric as the catalogue lists it, under the name that Prometheus sees.

    `labels` says what each label may hold; `watch` says when an operator should look into it.
    """

    name: str
    kind: Kind
    meaning: str
    watch: str
    labels: Mapping[str, str]


class EventHistogram(Collector):
    """A histogram that counts many events with one value in one call. Not for several threads."""

    def __init__(self, name: str, meaning: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._name = name
        self._meaning = meaning
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float, number: int = 1) -> None:
        """Count `number` events with this value."""
        self._counts[bisect_left(self._bounds, value)] += number
        self._sum += value * number

    def collect(self) -> Iterator[Metric]:
        """The histogram as Prometheus reads it: each bucket includes the smaller ones."""
        total, buckets = 0, []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            text = str(floatToGoString(bound))  # type: ignore[no-untyped-call]
            buckets.append((text, float(total)))
        yield HistogramMetricFamily(self._name, self._meaning, buckets=buckets, sum_value=self._sum)


class _Catalogue:
    """Makes metrics in a registry, and keeps what was declared."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.declared: list[Declared] = []

    def counter(self, name: str, meaning: str, watch: str = "", **labels: str) -> Counter:
        self.declared.append(Declared(f"{name}_total", "counter", meaning, watch, labels))
        return Counter(name, meaning, list(labels), registry=self.registry)

    def gauge(self, name: str, meaning: str, watch: str = "", **labels: str) -> Gauge:
        self.declared.append(Declared(name, "gauge", meaning, watch, labels))
        return Gauge(name, meaning, list(labels), registry=self.registry)

    def histogram(
        self, name: str, meaning: str, watch: str = "", bounds: Sequence[float] = _SECONDS, **labels: str
    ) -> Histogram:
        self.declared.append(Declared(name, "histogram", meaning, watch, labels))
        return Histogram(name, meaning, list(labels), buckets=bounds, registry=self.registry)

    def event_histogram(self, name: str, meaning: str, watch: str = "") -> EventHistogram:
        self.declared.append(Declared(name, "histogram", meaning, watch, {}))
        return EventHistogram(name, meaning, _AGES, self.registry)


class ProcessMetrics:
    """The metrics of every process: its resources, its event loop and its connections."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        new = _Catalogue(registry)
        self.declared = new.declared
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.declared += _STANDARD
        new.gauge(
            "headrace_build_info",
            "1, with the versions of Headrace and of Python.",
            "processes that should be equal differ for longer than an upgrade takes",
            version="ours",
            python="Python's",
        ).labels(version("headrace"), platform.python_version()).set(1)
        self.loop_lag_seconds = new.histogram(
            "headrace_event_loop_lag_seconds",
            "How late a timer ran that is due twice a second: for that long nothing was answered.",
            "above 0.1 s often",
        )
        self.gc_pause_seconds = new.histogram(
            "headrace_gc_pause_seconds",
            "Pauses for collecting garbage of the oldest generation.",
            "above 0.1 s",
        )
        self._pool = new.gauge(
            "headrace_pool_connections",
            "Connections to Postgres and Redis, by pool.",
            "`in_use` stays at the limit: requests wait for a connection",
            pool="`postgres_api`, `postgres_worker`, `redis_api`, `redis_worker`, `redis_queue`,"
            " `redis_lookups`, `redis_state`",
            state="`in_use`, `idle`",
        )
        self._pool_limit = new.gauge(
            "headrace_pool_limit_connections",
            "The most connections that a pool opens.",
            pool="as above",
        )

    def watch_pool(
        self, pool: str, limit: int, in_use: Callable[[], float], idle: Callable[[], float]
    ) -> None:
        """Show the pool's connections, counted at each scrape."""
        self._pool.labels(pool, "in_use").set_function(in_use)
        self._pool.labels(pool, "idle").set_function(idle)
        self._pool_limit.labels(pool).set(limit)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure the running event loop and the garbage collector inside the block."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle
        began = 0.0

        def tick(due: float) -> None:
            nonlocal timer
            now = loop.time()
            self.loop_lag_seconds.observe(max(0.0, now - due))
            timer = loop.call_later(LOOP_CHECK_SECONDS, tick, now + LOOP_CHECK_SECONDS)

        def collecting(phase: str, details: Mapping[str, int]) -> None:
            nonlocal began
            # The younger generations take microseconds, many times a second.
            if details["generation"] < _OLDEST_GENERATION:
                return
            if phase == "start":
                began = time.perf_counter()
            else:
                self.gc_pause_seconds.observe(time.perf_counter() - began)

        timer = loop.call_later(LOOP_CHECK_SECONDS, tick, loop.time() + LOOP_CHECK_SECONDS)
        gc.callbacks.append(collecting)
        try:
            yield
        finally:
            gc.callbacks.remove(collecting)
            timer.cancel()


_GENERATION: Final = {"generation": "0, 1, 2"}
_STANDARD: Final = (
    Declared("process_cpu_seconds_total", "counter", "Processor time of the process.", "", {}),
    Declared("process_resident_memory_bytes", "gauge", "Memory of the process.", "it grows for days", {}),
    Declared("process_virtual_memory_bytes", "gauge", "Address space of the process.", "", {}),
    Declared(
        "process_start_time_seconds",
        "gauge",
        "When the process started, in Unix time.",
        "it changes without a reason: the process died",
        {},
    ),
    Declared("process_open_fds", "gauge", "Open files and connections.", "near `process_max_fds`", {}),
    Declared("process_max_fds", "gauge", "How many it may open.", "", {}),
    Declared("python_gc_collections_total", "counter", "Collections of garbage.", "", _GENERATION),
    Declared("python_gc_objects_collected_total", "counter", "Objects collected.", "", _GENERATION),
    Declared("python_gc_objects_uncollectable_total", "counter", "Objects not collectable.", "", _GENERATION),
)
"""What prometheus_client itself measures."""


class IngestMetrics:
    """The metrics of ingest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        new = _Catalogue(registry)
        self.declared = new.declared
        self.posts_accepted = new.counter(
            "headrace_posts_accepted", "Posts answered 202, after they reached the queue's disk.", "it stops"
        )
        self.bytes_accepted = new.counter(
            "headrace_bytes_accepted", "Bytes of the bodies of accepted posts, as sent."
        )
        self.posts_refused = new.counter(
            "headrace_posts_refused",
            "Posts and other requests to ingest that were refused, by HTTP status.",
            "`503` rises: us. `401`, `413`: a client",
            status="the statuses of refusals",
        )
        self.refusing = new.gauge(
            "headrace_refusing",
            "1 while posts are refused because of a fault on our side, by reason.",
            "it is 1; see [the reasons](operating/trouble.md#why-posts-are-refused)",
            reason="the reasons there",
        )
        self.background_failures = new.counter(
            "headrace_background_failures",
            "Failures that a background task of ingest survived: bugs in Headrace.",
            "it rises",
            task="`append`, `evictions`, `readiness`, `shards`",
        )
        self.append_seconds = new.histogram(
            "headrace_append_seconds",
            "Time for a post batch to reach the queue's disk.",
            "above 0.1 s",
        )
        self.posts_per_batch = new.histogram(
            "headrace_posts_per_batch", "Posts that shared one write.", bounds=_SIZES
        )
        self.appends_repeated = new.counter(
            "headrace_appends_repeated", "Writes repeated because their reply was lost.", "it rises"
        )
        self.projection_age_seconds = new.gauge(
            "headrace_token_projection_age_seconds",
            "Seconds since the token projection was last swept; above 120 unknown tokens get 503, not 401.",
            "above 60",
        )
        self.stale_tokens_used = new.counter(
            "headrace_stale_tokens_used",
            "Requests let in on a cached token while Redis was unreachable.",
            "it rises",
        )
        self.queue_used_bytes = new.gauge(
            "headrace_queue_used_bytes",
            "Memory that the posts in the queue take, without what else its server holds.",
            "above half of the limit for minutes; above 0.8 posts get 503",
        )
        self.queue_server_bytes = new.gauge(
            "headrace_queue_server_bytes",
            "Memory that the queue's server counts against its limit: posts and everything else.",
            "near the limit while few posts wait",
        )
        self.queue_limit_bytes = new.gauge(
            "headrace_queue_limit_bytes", "The queue server's `maxmemory`; 0 means no limit.", "0"
        )
        self.queue_disk_free_bytes = new.gauge(
            "headrace_queue_disk_free_bytes",
            "Free space on the queue's disk, where ingest can see it (`HEADRACE_QUEUE_DISK`).",
            "below twice the required space",
        )
        self.queue_disk_required_bytes = new.gauge(
            "headrace_queue_disk_required_bytes",
            "Free space below which posts are refused (`HEADRACE_QUEUE_DISK_FREE_BYTES`).",
        )
        self.clock_skew_seconds = new.gauge(
            "headrace_clock_skew_seconds",
            "Seconds by which this machine's clock is ahead of the queue server's.",
            "above 10; above 300 ingest is not ready",
        )
        self.durability = new.gauge(
            "headrace_durability",
            "1 for the `appendfsync` setting in force on the queue's server.",
            "not `always`",
            fsync="`always`, `everysec`, `no`, `off`, `unknown`",
        )


class WorkerMetrics:
    """The metrics of the worker. Every worker shows the same values of what it reads from Postgres."""

    def __init__(self, registry: CollectorRegistry) -> None:
        new = _Catalogue(registry)
        self.declared = new.declared
        self.events = new.counter(
            "headrace_events",
            "Processed events by outcome.",
            "`dead_lettered` or `discarded` rises",
            outcome="`stored`, `duplicate`, `discarded`, `dead_lettered`",
        )
        self.dead_letters = new.counter(
            "headrace_dead_letters",
            "New dead letters by reason.",
            "it rises",
            reason="see [dead letters](operating/events.md#dead-letters)",
        )
        self.events_derived = new.counter(
            "headrace_events_derived",
            "Events that the worker created: starts of sessions that no client sent."
            " Together with the stored events these are the rows of `events`.",
        )
        self.accepted_to_stored_seconds = new.event_histogram(
            "headrace_accepted_to_stored_seconds",
            "Time from the arrival of an event to the commit that stored it. All events of a stream entry"
            " count from the arrival of the first. Without held posts.",
            "the 99th percentile above 10 s for minutes",
        )
        self.accepted_to_readable_seconds = new.event_histogram(
            "headrace_accepted_to_readable_seconds",
            "Time from the arrival of an event until another connection read it: up to one event a second.",
            "far above the time until it is stored",
        )
        self.user_descriptions = new.counter(
            "headrace_user_descriptions",
            "User descriptions by result.",
            "`forgotten` rises: their events never came; `refused` (by Postgres): a bug in Headrace",
            result="`applied`, `forgotten`, `refused`",
        )
        self.batches_replayed = new.counter(
            "headrace_batches_replayed",
            "Post batches read again after they were stored, and only acknowledged.",
            "it rises without a restart: workers died",
        )
        self.batches_repeated = new.counter(
            "headrace_batches_repeated",
            "Post batches that ingest wrote twice because the first reply was lost; they are stored once.",
            "it rises without an outage",
        )
        self.store_seconds = new.histogram("headrace_store_seconds", "Duration of a storing transaction.")
        self.store_failures = new.counter(
            "headrace_store_failures",
            "Failed attempts to read, store or acknowledge, by cause.",
            "it rises; `too_many_rejected`: the posts of a project are held (the log names it)",
            cause="`database_unavailable`, `broker_unavailable`, `broker_full`, `too_many_rejected`,"
            " `unforeseen`",
        )
        self.posts_held = new.gauge(
            "headrace_posts_held",
            "Posts held for a later attempt because most events of their project are rejected"
            " ([0018](decisions/0018-refusals-and-implausible-times.md)).",
            "above 0",
        )
        self.dead_letters_fullness = new.gauge(
            "headrace_dead_letters_fullness",
            "How full the [dead letters](operating/events.md#dead-letters) of the fullest project are; at 1"
            " the oldest lose their bytes, and later their rows.",
            "above 0.8: replay or discard them",
        )
        self.stream_lag = new.gauge(
            "headrace_stream_lag",
            "Entries in the stream that no worker has read yet.",
            "it grows for minutes",
            shard="the streams in use",
        )
        self.stream_pending = new.gauge(
            "headrace_stream_pending",
            "Entries that a worker has read and not yet acknowledged.",
            shard="the streams in use",
        )
        self.entries_claimed = new.counter(
            "headrace_entries_claimed",
            "Entries taken over from a silent consumer.",
            "it rises without a restart: workers died",
        )
        self.sweeps = new.counter(
            "headrace_projection_sweeps",
            "Sweeps of the token projection, by result.",
            "`failed` rises",
            result="`done`, `failed`",
        )
        self.word_index_days = new.gauge(
            "headrace_word_index_days",
            "Days that are over, by whether their index of words is there.",
            "`missing` stays above 1 for hours",
            state="`indexed`, `missing`",
        )
        self.word_index_build_seconds = new.histogram(
            "headrace_word_index_build_seconds",
            "Duration of building one day's index of words, by result.",
            "`failed` rises: often the disk",
            bounds=_LONG,
            result="`built`, `failed`",
        )
        self.word_index_behind = new.gauge(
            "headrace_word_index_behind_events",
            "About how many events of the present day no index of words covers yet."
            " 150,000, or a 32nd of the day, are normal.",
            "it rises for an hour: more comes in than one core indexes, the queue is never nearly empty, or a"
            " transaction stays open",
        )
        self.rollup_days_behind = new.gauge(
            "headrace_rollup_days_behind", "Days that are over and lack a rollup.", "above 1 for hours"
        )
        self.partitions_ahead = new.gauge(
            "headrace_partitions_ahead",
            "Days after today that already have their partition.",
            "below 2",
        )
        self.partitions = new.gauge("headrace_partitions", "Daily partitions of events.")
        self.database_bytes = new.gauge(
            "headrace_database_bytes", "Size of the database.", "it outgrows the disk"
        )
        self.dead_letters_kept = new.gauge(
            "headrace_dead_letters_kept",
            "Dead letters in Postgres, by reason.",
            "it grows",
            reason="as above",
        )
        self.maintenance_failures = new.counter(
            "headrace_maintenance_failures",
            "Runs of a maintenance job that failed.",
            "it rises",
            task="the worker's jobs",
        )

    def count(self, tally: Tally) -> None:
        """Count what one transaction stored."""
        for outcome, number in (
            (Outcome.STORED, tally.stored),
            (Outcome.DUPLICATE, tally.duplicate),
            (Outcome.DISCARDED, tally.discarded),
            (Outcome.DEAD_LETTERED, tally.dead_lettered),
        ):
            self.events.labels(outcome).inc(number)
        for reason, number in tally.dead_letters.items():
            self.dead_letters.labels(reason).inc(number)
        self.events_derived.inc(tally.derived)
        self.batches_replayed.inc(tally.replayed)
        self.batches_repeated.inc(tally.repeated)


class ApiMetrics:
    """The metrics of the API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        new = _Catalogue(registry)
        self.declared = new.declared
        self.requests = new.counter(
            "headrace_api_requests",
            "Requests answered, by HTTP status.",
            "`5xx` rises",
            status="the statuses of answers; 499: the client has disconnected",
        )
        self.request_seconds = new.histogram(
            "headrace_api_request_seconds",
            "Duration of a request, by route.",
            "the 99th percentile above 1 s",
            route="the templates of our routes",
        )
        self.search_slots = new.gauge(
            "headrace_search_slots",
            "Slots for searches, by state.",
            "none is `free` for minutes",
            state="`in_use`, `free`",
        )
        self.searches_waiting = new.gauge(
            "headrace_searches_waiting", "Searches that wait for a slot.", "above 0 for minutes"
        )
        self.search_wait_seconds = new.histogram(
            "headrace_search_wait_seconds", "How long searches waited for a slot.", "above 1 s"
        )
        self.searches_ended = new.counter(
            "headrace_searches_ended_early",
            "Searches without an answer, by cause: no slot became free, or Postgres took too long.",
            "it rises",
            cause="`no_slot`, `too_slow`",
        )


def catalogue() -> dict[str, Sequence[Declared]]:
    """Every metric that there is, by the process that has it."""
    return {
        "Every process": ProcessMetrics(CollectorRegistry()).declared,
        "Ingest": IngestMetrics(CollectorRegistry()).declared,
        "Worker": WorkerMetrics(CollectorRegistry()).declared,
        "API": ApiMetrics(CollectorRegistry()).declared,
    }


def exposition(registry: CollectorRegistry) -> bytes:
    """The metrics in the text format of Prometheus."""
    return generate_latest(registry)
