"""The names of all keys in Redis, and the numbers of the streams.

Each shard has a stream for each lane. A stream's number is its shard plus `MOST_SHARDS` for each lane below
its own, so that streams of the first lane have the number of their shard.

Keys that change together share a hash tag, so that a Redis Cluster keeps them on one node.
"""

from dataclasses import dataclass
from typing import Final

from collector.process.settings import MOST_SHARDS

GROUP: Final = "workers"
LANES: Final = 3
"""Posts of a project go to the first lane, or to a later one while it sends far more than others."""
MOST_STREAMS: Final = MOST_SHARDS * LANES


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """The key names of one installation; `prefix` separates installations that share a server."""

    prefix: str = ""

    def stream(self, shard: int) -> str:
        """The stream of post batches with this number."""
        return f"{self.prefix}posts:{stream_name(shard)}"

    def accepted(self, shard: int) -> str:
        """A hash that counts what was appended to the stream with this number: batches, posts, bytes."""
        return f"{self.prefix}accepted:{stream_name(shard)}"

    @property
    def settings(self) -> str:
        """A hash: settings that all processes must agree on, by name."""
        return f"{self.prefix}settings"

    @property
    def tokens(self) -> str:
        """A hash: a token's first 24 characters -> its entry."""
        return f"{self.prefix}{{projection}}:tokens"

    @property
    def projects(self) -> str:
        """A hash: project id (16 bytes) -> its entry."""
        return f"{self.prefix}{{projection}}:projects"

    @property
    def organizations(self) -> str:
        """A hash: organization id (16 bytes) -> its entry."""
        return f"{self.prefix}{{projection}}:organizations"

    @property
    def swept(self) -> str:
        """When the projection was last compared with Postgres, in Unix milliseconds of Redis's clock."""
        return f"{self.prefix}{{projection}}:swept"

    @property
    def evictions(self) -> str:
        """The channel that announces changes to caches."""
        return f"{self.prefix}{{projection}}:evictions"

    @property
    def live(self) -> str:
        """The channel that announces how many events were stored."""
        return f"{self.prefix}{{live}}:stored"

    def login_tries(self, kind: str, name: str) -> str:
        """A counter of login attempts: for an address (hashed) or from an IP. Expires every quarter hour."""
        return f"{self.prefix}{{logins}}:{kind}:{name}"

    def login_ips(self, account: str) -> str:
        """A sorted set: from which IPs (hashed) an account (hashed) has logged in, by the time. Expires."""
        return f"{self.prefix}{{logins}}:ips:{account}"

    def requests(self, who: str, window: int) -> str:
        """A counter of requests: by an organization, a user or an IP, in one quarter hour."""
        return f"{self.prefix}{{requests:{who}}}:{window}"

    @property
    def heartbeats(self) -> str:
        """A hash: project id and digest of a session key -> times of its last beat and of its end."""
        return f"{self.prefix}{{heartbeats}}:beats"

    @property
    def heartbeats_due(self) -> str:
        """A sorted set: the fields of `heartbeats`, by the time to offer them to a worker."""
        return f"{self.prefix}{{heartbeats}}:due"

    @property
    def heartbeats_of_projects(self) -> str:
        """A hash: project id -> the number of its fields in `heartbeats`."""
        return f"{self.prefix}{{heartbeats}}:of_projects"


def stream_number(lane: int, shard: int) -> int:
    """The number of the stream of this shard in this lane, both counted from 0."""
    return lane * MOST_SHARDS + shard


def stream_name(number: int) -> str:
    """How the stream appears in keys: its shard as a hash tag, then its lane unless that is the first."""
    shard, _, lane = stream_label(number).partition(":")
    return f"{{{shard}}}:{lane}" if lane else f"{{{shard}}}"


def stream_label(number: int) -> str:
    """How operators read the number of a stream: its shard, followed by its lane unless that is the first."""
    lane, shard = divmod(number, MOST_SHARDS)
    return f"{shard}:{lane}" if lane else str(shard)
