"""Every reason for refusing posts that is the server's own, not the post's: a name and a sentence for each.

The name appears in the health route and the metric; clients and the landing page read the sentence. Details
for operators, such as addresses and a server's error message, go to the health route and the logs only.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """Why posts are refused.

    With `refuses_all`, every post is refused while the reason holds. Otherwise each post is tried: a known
    token is accepted while the projection is stale, and a write is attempted while the queue does not answer.
    """

    name: str
    sentence: str
    refuses_all: bool
    retry_after_seconds: int | None = None


QUEUE_UNAVAILABLE: Final = Reason("queue_unavailable", "The queue is unavailable.", refuses_all=False)
QUEUE_FULL: Final = Reason("queue_full", "The queue is full.", refuses_all=True)
DISK_SHORT: Final = Reason(
    "disk_short", "The queue's disk is almost full.", refuses_all=True, retry_after_seconds=120
)
SUBMISSION_DISABLED: Final = Reason(
    "submission_disabled", "This server is not accepting events.", refuses_all=True
)
DURABILITY: Final = Reason(
    "durability", "The queue would lose events in a crash.", refuses_all=True, retry_after_seconds=60
)
MEMORY_LIMIT: Final = Reason(
    "memory_limit", "The queue has no memory limit.", refuses_all=True, retry_after_seconds=60
)
MEMORY_SHORT: Final = Reason(
    "memory_short",
    "The queue's server has no memory left for posts.",
    refuses_all=True,
    retry_after_seconds=60,
)
TOKENS: Final = Reason("tokens", "The token projection is not fresh; is a worker running?", refuses_all=False)
CLOCK: Final = Reason(
    "clock",
    "This machine's clock differs from the queue's by minutes.",
    refuses_all=True,
    retry_after_seconds=60,
)
CONNECTIONS: Final = Reason("connections", "Too many open connections.", refuses_all=False)
POSTS_WAITING: Final = Reason(
    "posts_waiting",
    "More posts are waiting for the queue's disk than this server can hold.",
    refuses_all=False,
)
STOPPING: Final = Reason("stopping", "The server is stopping; please repeat the post.", refuses_all=False)

REASONS: Final = (
    QUEUE_UNAVAILABLE,
    QUEUE_FULL,
    DISK_SHORT,
    SUBMISSION_DISABLED,
    DURABILITY,
    MEMORY_LIMIT,
    MEMORY_SHORT,
    TOKENS,
    CLOCK,
    CONNECTIONS,
    POSTS_WAITING,
    STOPPING,
)
"""All reasons, by precedence: if several hold, a post is refused with the first."""


def explain_reason(reason: Reason, detail: str = "") -> str:
    """The reason as operators read it: its sentence, then the detail after a colon."""
    return f"{reason.sentence.rstrip('.')}: {detail}" if detail else reason.sentence
