"""A post: one accepted request body, unparsed. A post batch: posts written to the stream together."""

from typing import Final

import msgspec

USER_DESCRIPTION: Final = "user_description"
"""The kind of a post that holds a user description; a post of events has an empty kind."""
LEGACY_API: Final = 1
"""The API version whose events are converted to version 2."""


class Post(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The raw body, its sender, its time of acceptance (in the id) and its encoding; holds 0 to n events.

    Ids are 16 bytes. `content_type` and `content_encoding` are header values as sent; `user_agent` is
    `X-Exceptionless-Client` if the client sent it, else `User-Agent`. With the kind `user_description` the
    body is one description of the event with `reference_id`; otherwise it holds events.

    The struct is stored in the stream as an array: add new fields at the end, with a default.
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
    """Posts that share one stream entry and one fsync. The worker stores each batch id (16 bytes) once."""

    id: bytes
    posts: tuple[Post, ...]
