"""Which variables with our prefix there are, so that a misspelt one is noticed; it never stops a start.

One environment often serves all processes, so each knows the names of all. Tests hold this list against the
settings classes.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from collector.process.settings import PREFIX

FIELDS: Final = (
    "batch_entries",
    "body_limit_bytes",
    "claim_idle_seconds",
    "clock_offset_seconds",
    "connections",
    "database_connections",
    "database_url",
    "durability",
    "embedded_queue_memory_mb",
    "faults",
    "faults_directory",
    "geoip_file",
    "host",
    "log_format",
    "log_level",
    "max_event_age_days",
    "port",
    "proxy_header",
    "queue_disk",
    "queue_disk_free_bytes",
    "queue_high_percent",
    "read_block_ms",
    "redis_key_prefix",
    "redis_url",
    "reference_window_minutes",
    "request_limit",
    "retention_days",
    "reuse_port",
    "sessions",
    "shards",
    "sign_up_enabled",
    "stale_token_seconds",
    "submission_disabled",
    "trusted_proxies",
)
"""The fields of all processes' settings."""

_OF_TOOLS: Final = ("load_", "test_", "url", "client_token", "user_token")
"""What tests and the load test read begins with one of these."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable that nobody reads, and the known one that is most like it, if any is."""

    variable: str
    closest: str | None

    def __str__(self) -> str:
        """What a person is told."""
        return f"{self.variable} is no setting" + (f"; is {self.closest} meant?" if self.closest else ".")


def unknown_variables(environ: Mapping[str, str]) -> list[Unknown]:
    """Every variable with our prefix that no process reads."""
    names = [variable.removeprefix(PREFIX) for variable in sorted(environ) if variable.startswith(PREFIX)]
    return [
        Unknown(PREFIX + name, _closest(name.lower()))
        for name in names
        if name.lower() not in FIELDS and not name.lower().startswith(_OF_TOOLS)
    ]


def _closest(name: str) -> str | None:
    """Compared without the prefix, which would make everything alike."""
    found = difflib.get_close_matches(name, FIELDS, n=1)
    return PREFIX + found[0].upper() if found else None
