"""Valid default values; a test names only what it is about."""

from typing import Any

from collector.domain.access.token import TokenEntry, token_digest
from collector.domain.post import Post, PostBatch
from tests.support.ids import next_id

ACCEPTED_MS = 1_760_000_000_000
"""2025-10-09T08:53:20Z."""

ORGANIZATION = b"\x01" * 16
PROJECT = b"\x02" * 16
CLIENT_TOKEN = "clienttokenclienttokenclienttokenclientt"


def a_post(**members: Any) -> Post:
    """A post with one small event, accepted at `ACCEPTED_MS`."""
    values: dict[str, Any] = {
        "id": next_id(ACCEPTED_MS),
        "organization_id": ORGANIZATION,
        "project_id": PROJECT,
        "body": b'{"message":"hello"}',
        "content_type": "application/json",
        "user_agent": "exceptionless-js/3.2.1",
        "client_ip": "203.0.113.7",
    }
    return Post(**(values | members))


def a_batch(*posts: Post) -> PostBatch:
    """A batch with these posts, or with one."""
    return PostBatch(next_id(ACCEPTED_MS), posts or (a_post(),))


def a_token_entry(token: str = CLIENT_TOKEN, **members: Any) -> TokenEntry:
    """An enabled client token of one project."""
    values: dict[str, Any] = {
        "digest": token_digest(token),
        "scopes": ("client",),
        "organization_ids": (ORGANIZATION,),
        "project_id": PROJECT,
    }
    return TokenEntry(**(values | members))
