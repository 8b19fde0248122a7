"""What every setting means, and which variables with our prefix are unknown: those get a warning.

One environment often serves all processes, so each process knows the names of all. Tests compare this list
with the settings classes, which declare the type and the default.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from collector.process.settings import FILE_SUFFIX, PREFIX, SECRETS

MEANINGS: Final[Mapping[str, str]] = {
    "batch_entries": "The most stream entries that one transaction stores.",
    "body_limit_bytes": (
        "The largest post, as sent; decompressed it may be ten times as large. Each post keeps the limit "
        "that it was accepted under, so a worker with a smaller limit still stores it."
    ),
    "claim_idle_seconds": "Another worker claims the entries of one that has been silent for this long.",
    "clock_offset_seconds": "For crash tests only: moves the process's clock.",
    "connections": (
        "The most open connections, half of them from one IP that is not a trusted proxy; idle ones are "
        "closed for new ones, and beyond that only health checks are answered."
    ),
    "database_connections": "The most connections to Postgres.",
    "database_url": (
        "The PostgreSQL server, 17 or newer. `DATABASE_URL` is read if this is not set; `up` starts "
        "its own server if neither is."
    ),
    "durability": (
        "`relaxed` accepts posts although Redis does not fsync every write, may evict keys, or has no "
        "`maxmemory`."
    ),
    "embedded_queue_memory_mb": "`maxmemory` of the embedded Valkey.",
    "faults": "For crash tests only: where the process kills itself.",
    "faults_directory": "For crash tests only: where it notes that it did.",
    "geoip_file": (
        "A city database in MaxMind's format: events get the location of their addresses (`geo`, "
        "`@location`). Every event then takes the slow path, which costs five times as much."
    ),
    "host": "The address to listen on; the image sets `0.0.0.0`.",
    "log_format": "`auto` is text on a terminal and JSON elsewhere.",
    "log_level": "The least severe messages that are logged.",
    "max_event_age_days": (
        "Older events are discarded (`too_old`), or refused if the sender asks for strict handling."
    ),
    "port": "The port to listen on.",
    "proxy_header": (
        "The one header in which trusted proxies name the client; all others are ignored. See [behind a "
        "proxy](operating/install.md#behind-a-proxy)."
    ),
    "queue_disk": (
        "A folder on the queue's disk, where ingest can see it: posts are refused while that disk is "
        "short. `up` sets it."
    ),
    "queue_disk_free_bytes": "The disk is short below this much free space.",
    "queue_high_percent": "Posts are refused above this share of the queue's `maxmemory`.",
    "read_block_ms": "The longest wait for new entries.",
    "redis_key_prefix": "Goes in front of every key, so that several installations can share a server.",
    "redis_url": (
        "The Redis or Valkey server. `REDIS_URL` is read if this is not set; `up` starts its own "
        "server if neither is."
    ),
    "reference_window_minutes": (
        "A reference id that repeats within this time across midnight (UTC) is a duplicate; 0 turns this off."
    ),
    "request_limit": (
        "Requests that an organization, a person or an address may make in a quarter of an hour; more "
        "are answered 429. 0: no limit."
    ),
    "retention_days": "Days that events are kept. The workers' value counts; the api shows it.",
    "reuse_port": "`true` lets several ingest processes share the port.",
    "sessions": "`off` stores events as they were sent and derives no sessions.",
    "shards": (
        "Streams that posts are spread over. Only used at the very first start; later, `headrace shards "
        "set` changes the number."
    ),
    "sign_up_enabled": (
        "`true` lets everybody sign up who can reach the api, `false` the invited only. The first user needs "
        "an invitation in any case; see [people](operating/people.md#people-organizations-projects)."
    ),
    "stale_token_seconds": "How long cached tokens stay valid while Redis is unreachable.",
    "submission_disabled": "`true` answers every post 503.",
    "trusted_proxies": ("Addresses and networks of your proxies, which may report the client's address."),
    "unpacked_memory_mb": "Megabytes of decompressed posts in memory; a larger entry is processed alone.",
}
"""The meaning of each setting by field, for the page of settings and the check for misspelt names."""

_OF_TOOLS: Final = ("load_", "test_", "url", "client_token", "user_token")
"""Variables of tests and load tests begin with one of these."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable that no process reads, and the most similar known one, if there is one."""

    variable: str
    closest: str | None

    def __str__(self) -> str:
        """The warning, in words."""
        return f"{self.variable} is not a setting" + (
            f"; did you mean {self.closest}?" if self.closest else "."
        )


def unknown_variables(environ: Mapping[str, str]) -> list[Unknown]:
    """Every variable with our prefix that no process reads."""
    unknown = []
    for variable in sorted(environ):
        # Compared without the prefix, which would make all names similar.
        name = variable.removeprefix(PREFIX).lower()
        if name.endswith(FILE_SUFFIX.lower()) and name.removesuffix(FILE_SUFFIX.lower()) in SECRETS:
            continue
        if variable.startswith(PREFIX) and name not in MEANINGS and not name.startswith(_OF_TOOLS):
            found = difflib.get_close_matches(name, list(MEANINGS), n=1)
            unknown.append(Unknown(variable, PREFIX + found[0].upper() if found else None))
    return unknown
