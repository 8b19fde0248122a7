"""What a post costs the worker, measured in events, and how much it may cost for what it weighs.

A post is limited in bytes as sent, but the worker pays for rows: a few dozen compressed bytes can hold a
hundred thousand events. So the number of events is limited by the bytes sent. Ingest estimates the cost of
posts from samples, because it parses nothing.
"""

from functools import lru_cache
from typing import Final

import msgspec

from collector.domain.intake.decompress import UnstorablePost, decompress
from collector.domain.post import Post

BYTES_PER_EVENT: Final = 1600
"""This many bytes of a post weigh as much as one event."""
ALWAYS_ALLOWED_EVENTS: Final = 1000
"""Clients send 50 in a post by default, and events that repeat each other compress to almost nothing."""
SENT_BYTES_PER_EVENT: Final = 4
"""Events with a date and a reference id of their own take at least ten bytes however they are compressed."""
MAXIMUM_EVENTS_PER_POST: Final = 25_000
"""A post is stored in one transaction."""

_MEASURED_BYTES: Final = 512 * 1024
"""Decompressed and counted in two milliseconds; a post of more counts as many events as it may hold."""
_LEAST_BYTES_PER_EVENT: Final = 2
"""A line of one character."""


class _Shape(msgspec.Struct, gc=False):
    """Accepts any object without decoding its members."""


_SHAPE: Final = msgspec.json.Decoder(_Shape)
_SHAPES: Final = msgspec.json.Decoder(list[_Shape | None])


def most_events(sent_bytes: int) -> int:
    """The number of events that a post of this size, as sent, may hold."""
    return min(MAXIMUM_EVENTS_PER_POST, max(ALWAYS_ALLOWED_EVENTS, sent_bytes // SENT_BYTES_PER_EVENT))


def potential_events(sent_bytes: int, content_encoding: str) -> int:
    """The number of events that a post can hold at most, as far as its size and encoding tell."""
    allowed = most_events(sent_bytes)
    return allowed if content_encoding else min(allowed, sent_bytes // _LEAST_BYTES_PER_EVENT + 1)


def estimated_events(post: Post) -> int:
    """About the number of events in the post, or the number that its bytes weigh, whichever is larger.

    Takes up to two milliseconds.
    """
    allowed = most_events(len(post.body))
    try:
        body = decompress(post.body, post.content_encoding, _MEASURED_BYTES)
    except UnstorablePost:  # too large to measure here, or soon a dead letter
        return allowed
    if len(body) > _MEASURED_BYTES or _has_other_charset(post.content_type):
        return allowed
    return max(min(_counted(body), allowed), len(body) // BYTES_PER_EVENT)


def _counted(body: bytes) -> int:
    try:
        if body[:1] == b"{":
            _SHAPE.decode(body)
            return 1
        return len(_SHAPES.decode(body))
    except (msgspec.DecodeError, RecursionError):
        # Lines of text, or JSON that only the slow path can read: whichever are more.
        return max(1 + body.count(b"\n") + body.count(b"\r"), body.count(b"{"))


@lru_cache(maxsize=256)
def _has_other_charset(content_type: str) -> bool:
    """Whether the content type may name a charset in which lines end with other bytes than in UTF-8."""
    lowered = content_type.lower()
    return "charset" in lowered and "utf-8" not in lowered
