"""Every key in Redis, in one place.

Keys that change together share a hash tag, so that a Redis Cluster keeps them on one node.
"""

from dataclasses import dataclass
from typing import Final

GROUP: Final = "workers"


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """The key names of one installation; `prefix` keeps several apart on one server."""

    prefix: str = ""

    def stream(self, shard: int) -> str:
        """The stream of post batches of one shard."""
        return f"{self.prefix}posts:{{{shard}}}"

    def accepted(self, shard: int) -> str:
        """A hash that counts what was appended to the shard's stream: batches, posts, bytes."""
        return f"{self.prefix}accepted:{{{shard}}}"

    @property
    def settings(self) -> str:
        """A hash: what ingest and workers must agree on, by the setting's name."""
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
        """The channel that tells caches what has changed."""
        return f"{self.prefix}{{projection}}:evictions"

    def login_tries(self, kind: str, name: str) -> str:
        """A counter of tries to log in: of an address (hashed) or from an IP. They end every quarter hour."""
        return f"{self.prefix}{{logins}}:{kind}:{name}"

    def requests(self, who: str, window: int) -> str:
        """A counter of requests: of an organization, a person or an IP, in one quarter hour."""
        return f"{self.prefix}{{requests:{who}}}:{window}"

    @property
    def heartbeats(self) -> str:
        """A hash: project id and digest of a session key -> when it last beat and when it was closed."""
        return f"{self.prefix}{{heartbeats}}:beats"

    @property
    def heartbeats_due(self) -> str:
        """A sorted set: the same names, by when they are to be offered to a worker."""
        return f"{self.prefix}{{heartbeats}}:due"

    @property
    def heartbeats_of_projects(self) -> str:
        """A hash: project id -> how many of these names are its own."""
        return f"{self.prefix}{{heartbeats}}:of_projects"
