"""The catalogue of all metrics: names, meanings and labels."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class IngestMetrics:
    """The metrics of ingest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.posts_accepted = Counter(
            "headrace_posts_accepted",
            "Posts answered 202, after they reached the queue's disk.",
            registry=registry,
        )
        self.bytes_accepted = Counter(
            "headrace_bytes_accepted", "Bytes of the bodies of accepted posts, as sent.", registry=registry
        )
        self.posts_refused = Counter(
            "headrace_posts_refused",
            "Posts and other requests to ingest that were refused, by HTTP status.",
            ["status"],
            registry=registry,
        )
        self.refusing = Gauge(
            "headrace_refusing",
            "1 while posts are refused because of a fault on our side, by reason.",
            ["reason"],
            registry=registry,
        )
        self.background_failures = Counter(
            "headrace_background_failures",
            "Failures that a background task of ingest survived.",
            ["task"],
            registry=registry,
        )
        self.append_seconds = Histogram(
            "headrace_append_seconds",
            "Time for a post batch to reach the queue's disk.",
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
            "headrace_queue_used_bytes",
            "Memory that the posts in the queue take, without what else its server holds.",
            registry=registry,
        )
        self.queue_limit_bytes = Gauge(
            "headrace_queue_limit_bytes",
            "The queue server's `maxmemory`; 0 means no limit.",
            registry=registry,
        )
        self.clock_skew_seconds = Gauge(
            "headrace_clock_skew_seconds",
            "Seconds by which this machine's clock is ahead of the queue server's.",
            registry=registry,
        )
        self.durability = Gauge(
            "headrace_durability",
            "1 for the `appendfsync` setting in force on the queue's server.",
            ["fsync"],
            registry=registry,
        )


class WorkerMetrics:
    """The metrics of the worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "headrace_events",
            "Processed events by outcome: stored, duplicate, discarded, dead_lettered.",
            ["outcome"],
            registry=registry,
        )
        self.events_derived = Counter(
            "headrace_events_derived",
            "Events that the worker created: starts of sessions that no client sent.",
            registry=registry,
        )
        self.user_descriptions = Counter(
            "headrace_user_descriptions",
            "User descriptions by result: applied, forgotten (the event never came), refused by Postgres.",
            ["result"],
            registry=registry,
        )
        self.batches_replayed = Counter(
            "headrace_batches_replayed",
            "Post batches read again after they were stored, and only acknowledged.",
            registry=registry,
        )
        self.batches_repeated = Counter(
            "headrace_batches_repeated",
            "Post batches that ingest wrote twice because the first reply was lost.",
            registry=registry,
        )
        self.store_seconds = Histogram(
            "headrace_store_seconds",
            "Duration of a storing transaction.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.store_failures = Counter(
            "headrace_store_failures",
            "Failed attempts to read, store or acknowledge, by cause.",
            ["cause"],
            registry=registry,
        )
        self.posts_held = Gauge(
            "headrace_posts_held",
            "Posts held for a later attempt because most events of their project are rejected.",
            registry=registry,
        )
        self.dead_letters_fullness = Gauge(
            "headrace_dead_letters_fullness",
            "How full the fullest project's dead letters are; at 1 the oldest lose their bytes.",
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
            "Entries that a worker has read and not yet acknowledged.",
            ["shard"],
            registry=registry,
        )
        self.entries_claimed = Counter(
            "headrace_entries_claimed",
            "Entries taken over from a silent consumer.",
            registry=registry,
        )
        self.sweeps = Counter(
            "headrace_projection_sweeps",
            "Sweeps of the token projection, by result.",
            ["result"],
            registry=registry,
        )
        self.word_index_days = Gauge(
            "headrace_word_index_days",
            "Days that are over, by whether their index of words is there: indexed, missing.",
            ["state"],
            registry=registry,
        )
        self.maintenance_failures = Counter(
            "headrace_maintenance_failures",
            "Runs of a maintenance job that failed.",
            ["job"],
            registry=registry,
        )


class ApiMetrics:
    """The metrics of the API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "headrace_api_requests", "Requests answered, by HTTP status.", ["status"], registry=registry
        )
        self.request_seconds = Histogram(
            "headrace_api_request_seconds",
            "Duration of a request, by route.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )


def exposition(registry: CollectorRegistry) -> bytes:
    """The metrics in the text format of Prometheus."""
    return generate_latest(registry)
