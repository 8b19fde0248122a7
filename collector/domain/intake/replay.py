"""Makes posts of a dead letter again, so that it takes the way of a new post.

The posts keep their ids: their events get the same ids as the first time, and the time of acceptance stays.
"""

import hashlib
from datetime import datetime
from typing import Final

import msgspec

from collector.domain.event.outcome import DeadLetter, DeadLetterReason
from collector.domain.ids import derived_id
from collector.domain.post import Post, PostBatch

UNREPLAYABLE: Final = (DeadLetterReason.UNREADABLE_ENTRY,)
"""Their bytes do not tell which posts they were."""
NEED_KIND: Final = (DeadLetterReason.INVALID_DESCRIPTION, DeadLetterReason.UNKNOWN_KIND)
"""An older version kept letters with these reasons without the kind of their post."""

_batch: Final = msgspec.msgpack.Decoder(PostBatch)


def posts_of(letter: DeadLetter, kept_utc: datetime) -> list[Post]:
    """The posts that the letter was made of; none if its bytes do not tell.

    `kept_utc` is when it became a dead letter: the time of acceptance of a post whose own cannot be true.
    """
    if not is_replayable(letter.reason, letter.kind, len(letter.body)):
        return []
    # A whole entry holds posts of its own; all other letters are one post, or one event of a post.
    if letter.reason is DeadLetterReason.NEVER_FINISHED:
        try:
            return list(_batch.decode(letter.body).posts)
        except msgspec.MsgspecError:
            return []
    if letter.project_id is None or letter.organization_id is None:
        return []
    id_ = letter.id
    if letter.reason is DeadLetterReason.IMPLAUSIBLE_TIME:
        # Derived: a replay after a crash must give its events the same ids.
        id_ = derived_id(int(kept_utc.timestamp() * 1000), hashlib.sha256(letter.id.bytes).digest())
    return [
        Post(
            id=id_.bytes,
            organization_id=letter.organization_id.bytes,
            project_id=letter.project_id.bytes,
            body=letter.body,
            content_type=letter.content_type,
            content_encoding=letter.content_encoding,
            user_agent=letter.user_agent,
            client_ip=letter.client_ip,
            api_version=letter.api_version,
            kind=letter.kind,
            reference_id=letter.reference_id,
        )
    ]


def is_replayable(reason: str, kind: str, body_bytes: int) -> bool:
    """Whether a letter may be replayed, as far as can be said without its body."""
    return body_bytes > 0 and reason not in UNREPLAYABLE and (bool(kind) or reason not in NEED_KIND)
