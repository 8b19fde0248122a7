"""A post: one accepted request body, as it came. A post batch: posts written to the stream together."""

import msgspec


class Post(msgspec.Struct, frozen=True, array_like=True):
    """Raw bytes plus who sent them, when (in the id) and how they are encoded; holds 0..n events.

    Ids are 16 bytes. `content_type` and `content_encoding` are the headers' text, `user_agent` already is
    `X-Exceptionless-Client` where that was given. New fields go to the end, with a default.
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


class PostBatch(msgspec.Struct, frozen=True, array_like=True):
    """Posts that share one stream entry and one fsync. The worker stores a batch id (16 bytes) once."""

    id: bytes
    posts: tuple[Post, ...]
