"""The metrics catalogue: every name, its meaning and its labels, in one place."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class IngestMetrics:
    """What ingest counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.posts_accepted = Counter(
            "headrace_posts_accepted", "Posts answered 202: on the queue's disk.", registry=registry
        )
        self.bytes_accepted = Counter(
            "headrace_bytes_accepted", "Bytes of the bodies of accepted posts, as sent.", registry=registry
        )
        self.posts_refused = Counter(
            "headrace_posts_refused",
            "Posts, and whatever else clients ask ingest, refused, by HTTP status.",
            ["status"],
            registry=registry,
        )
        self.refusing = Gauge(
            "headrace_refusing",
            "1 while posts are refused for a reason that is not theirs, by reason.",
            ["reason"],
            registry=registry,
        )
        self.background_failures = Counter(
            "headrace_background_failures",
            "Failures that a background task of ingest has survived.",
            ["task"],
            registry=registry,
        )
        self.append_seconds = Histogram(
            "headrace_append_seconds",
            "Time that a post batch takes to reach the queue's disk.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.posts_per_batch = Histogram(
            "headrace_posts_per_batch", "Posts that shared one write.", buckets=_SIZES, registry=registry
        )
        self.appends_repeated = Counter(
            "headrace_appends_repeated", "Writes repeated because their reply was lost.", registry=registry
        )
        self.projection_age_seconds = Gauge(
            "headrace_token_projection_age_seconds",
            "Seconds since the token projection was last swept; above 120 unknown tokens get 503, not 401.",
            registry=registry,
        )
        self.stale_tokens_used = Counter(
            "headrace_stale_tokens_used",
            "Requests let in on a cached token while Redis was unreachable.",
            registry=registry,
        )
        self.queue_used_bytes = Gauge(
            "headrace_queue_used_bytes", "Memory that the queue's server uses.", registry=registry
        )
        self.queue_limit_bytes = Gauge(
            "headrace_queue_limit_bytes", "Its `maxmemory`; 0: it has no limit.", registry=registry
        )
        self.clock_skew_seconds = Gauge(
            "headrace_clock_skew_seconds",
            "How far this machine's clock is ahead of the queue's.",
            registry=registry,
        )
        self.durability = Gauge(
            "headrace_durability",
            "1 for the durability that the queue's server has in force.",
            ["fsync"],
            registry=registry,
        )


class WorkerMetrics:
    """What the worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "headrace_events",
            "Events by what became of them: stored, duplicate, discarded, dead_lettered.",
            ["outcome"],
            registry=registry,
        )
        self.events_derived = Counter(
            "headrace_events_derived",
            "Events that the worker made itself: the starts of sessions that no client sent.",
            registry=registry,
        )
        self.user_descriptions = Counter(
            "headrace_user_descriptions",
            "Users' descriptions by result: applied, forgotten (the event never came), refused by Postgres.",
            ["result"],
            registry=registry,
        )
        self.batches_replayed = Counter(
            "headrace_batches_replayed", "Post batches met again and only acknowledged.", registry=registry
        )
        self.batches_repeated = Counter(
            "headrace_batches_repeated",
            "Post batches that an ingest process had written again because it never saw the reply.",
            registry=registry,
        )
        self.store_seconds = Histogram(
            "headrace_store_seconds", "Time of one storing transaction.", buckets=_SECONDS, registry=registry
        )
        self.store_failures = Counter(
            "headrace_store_failures",
            "Attempts to read, store or acknowledge that failed, by cause.",
            ["cause"],
            registry=registry,
        )
        self.posts_held = Gauge(
            "headrace_posts_held",
            "Posts of projects whose events are mostly refused, held until they are tried again.",
            registry=registry,
        )
        self.stream_lag = Gauge(
            "headrace_stream_lag",
            "Entries in the stream that no worker has read yet.",
            ["shard"],
            registry=registry,
        )
        self.stream_pending = Gauge(
            "headrace_stream_pending",
            "Entries read by a worker and not yet acknowledged.",
            ["shard"],
            registry=registry,
        )
        self.entries_claimed = Counter(
            "headrace_entries_claimed",
            "Entries taken over from a consumer that went silent.",
            registry=registry,
        )
        self.sweeps = Counter(
            "headrace_projection_sweeps",
            "Sweeps of the token projection, by result.",
            ["result"],
            registry=registry,
        )
        self.maintenance_failures = Counter(
            "headrace_maintenance_failures",
            "Runs of a maintenance job that failed.",
            ["job"],
            registry=registry,
        )


class ApiMetrics:
    """What the reading and managing side counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "headrace_api_requests", "Requests answered, by HTTP status.", ["status"], registry=registry
        )
        self.request_seconds = Histogram(
            "headrace_api_request_seconds",
            "Time that a request took, by route.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )


def exposition(registry: CollectorRegistry) -> bytes:
    """The metrics as text for Prometheus."""
    return generate_latest(registry)
