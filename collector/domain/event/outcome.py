"""The results of normalizing a post: every accepted event has exactly one outcome."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from collector.domain.event.session_key import SessionKey
from collector.domain.event.stack import Stack


class Outcome(StrEnum):
    """The possible outcomes of an accepted event."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    DISCARDED = "discarded"
    DEAD_LETTERED = "dead_lettered"


DERIVED: Final = "derived"
"""The reason under which stored events are counted that the worker created itself."""


class DiscardReason(StrEnum):
    """Why an event was discarded on purpose."""

    TOO_OLD = "too_old"
    HEARTBEAT = "heartbeat"
    BOT = "bot"
    SESSION_END = "session_end"
    REPEATED_SESSION_START = "repeated_session_start"
    DISCARDED_STACK = "discarded_stack"
    PROJECT_GONE = "project_gone"


class DeadLetterReason(StrEnum):
    """Why an entry, a post or an event can never be stored."""

    UNREADABLE_ENTRY = "unreadable_entry"
    NEVER_FINISHED = "never_finished"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    CORRUPT_ENCODING = "corrupt_encoding"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    TOO_MANY_EVENTS = "too_many_events"
    TOO_COSTLY = "too_costly"
    REJECTED_BY_DATABASE = "rejected_by_database"
    IMPLAUSIBLE_TIME = "implausible_time"
    INVALID_DESCRIPTION = "invalid_description"
    UNKNOWN_KIND = "unknown_kind"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One row of `events`; a Struct because creating a frozen dataclass of this size takes ten times as long.

    Ids are 16 bytes, as in the post: converting them to UUIDs would be a tenth of all work on an event.
    `data` is UTF-8 JSON that `jsonb` accepts, or None; `date` is in UTC, and `date_offset_minutes` is the
    offset that the sender used. `session_key` is not a column: it finds the event's session, if it has one.
    """

    id: bytes
    project_id: bytes
    organization_id: bytes
    type: str
    date: datetime
    date_offset_minutes: int
    created_utc: datetime
    stack: Stack
    reference_id: str | None = None
    message: str | None = None
    source: str | None = None
    tags: tuple[str, ...] = ()
    value: Decimal | None = None
    count: int | None = None
    geo: str | None = None
    data: bytes | None = None
    session_key: SessionKey | None = None
    is_first_occurrence: bool = False

    @property
    def stack_id(self) -> bytes:
        """The id of the stack, as stored in the column."""
        return self.stack.id


EVENT_COLUMNS: Final = tuple(
    "stack_id" if name == "stack" else name for name in Event.__struct_fields__ if name != "session_key"
)
"""The columns of `events`. Every other list of them derives from this one or is compared with it by
`tests/test_event_columns.py`."""
SERVER_COLUMNS: Final = (
    "id", "project_id", "organization_id", "date_offset_minutes", "created_utc", "stack_id",
    "is_first_occurrence",
)  # fmt: skip
SENT_COLUMNS: Final = tuple(name for name in EVENT_COLUMNS if name not in SERVER_COLUMNS)
"""The columns that hold a member sent by the client, under the same name."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event, post or entry that can never be stored, kept with its bytes.

    `id` is the event's id, the post's (the same as its first event's) or, for a whole entry, the batch's. The
    other ids of an unreadable entry are None. From `content_type` on
    the members are the post's: what it takes to read the body again.
    """

    id: UUID
    reason: DeadLetterReason
    detail: str
    body: bytes
    accepted_utc: datetime
    project_id: UUID | None = None
    organization_id: UUID | None = None
    content_type: str = ""
    content_encoding: str = ""
    user_agent: str = ""
    client_ip: str = ""
    api_version: int = 2
    kind: str = ""
    reference_id: str = ""


@dataclass(frozen=True, slots=True)
class UserDescription:
    """A user's description of an event, found by its reference id or id; kept until the event is stored.

    `id` is the post's; `description` is UTF-8 JSON that `jsonb` accepts. It does not count as an event.
    """

    id: bytes
    project_id: bytes
    organization_id: bytes
    reference_id: str
    description: bytes


@dataclass(frozen=True, slots=True)
class HeldPost:
    """A post of a project whose events the database mostly rejects, kept as msgpack until it is retried.

    Its events are counted when it is retried, under the size limit that applied when it was held.
    """

    id: bytes
    project_id: bytes
    post: bytes
    unpacked_limit_bytes: int


class Discard(NamedTuple):
    """The key under which discarded events are counted."""

    project_id: UUID
    hour: datetime
    reason: DiscardReason


@dataclass(frozen=True, slots=True)
class NormalizedBatch:
    """The results of all posts of a post batch, in order; a replay gives the same.

    `shard` and `entry_id` name the stream entry that it was read from. A large batch is split: each part has
    the id and results of one post, and the batch itself follows the last part and counts the posts.
    """

    id: UUID
    post_count: int
    shard: int = 0
    entry_id: str = ""
    events: list[Event] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    discarded: Counter[Discard] = field(default_factory=Counter)
    descriptions: list[UserDescription] = field(default_factory=list)
    held: list[HeldPost] = field(default_factory=list)
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """What one transaction stored, in events; `replayed` and `repeated` count batches, `held` counts posts.

    `derived` events were created by the worker and are in no other number. A replay is an entry read again; a
    repeat is the first read of another entry with a batch that is already stored. `dead_letters` has the dead
    letters by reason.
    """

    stored: int = 0
    duplicate: int = 0
    discarded: int = 0
    dead_lettered: int = 0
    replayed: int = 0
    repeated: int = 0
    derived: int = 0
    held: int = 0
    dead_letters: Mapping[DeadLetterReason, int] = field(default_factory=dict, compare=False)
