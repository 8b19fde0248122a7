"""A post: one accepted request body, as it came. A post batch: posts written to the stream together."""

from typing import Final

import msgspec

USER_DESCRIPTION: Final = "user_description"
"""The kind of a post that describes an event; that of a post of events is empty."""
LEGACY_API: Final = 1
"""The version of the API whose posts are upgraded."""


class Post(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Raw bytes plus who sent them, when (in the id) and how they are encoded; holds 0..n events.

    Ids are 16 bytes. `content_type` and `content_encoding` are the headers' text, `user_agent` already is
    `X-Exceptionless-Client` where that was given. Of kind `user_description` the body is one description, of
    the event that `reference_id` names; otherwise it is events. New fields go to the end, with a default.
    """

    id: bytes
    organization_id: bytes
    project_id: bytes
    body: bytes
    content_type: str = ""
    content_encoding: str = ""
    user_agent: str = ""
    client_ip: str = ""
    api_version: int = 2
    kind: str = ""
    reference_id: str = ""


class PostBatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Posts that share one stream entry and one fsync. The worker stores a batch id (16 bytes) once."""

    id: bytes
    posts: tuple[Post, ...]
