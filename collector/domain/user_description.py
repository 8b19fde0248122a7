"""A user's description of an event, as the worker finds it in a post of that kind (contract 3.9).

The door has checked it by the same rules; but what is in the stream may come from a door of another version.
"""

from collector.domain.body import decoded
from collector.domain.description_request import description_in
from collector.domain.errors import Refusal
from collector.domain.identifiers import is_reference_id
from collector.domain.outcome import DeadLetterReason, UserDescription
from collector.domain.post import Post
from collector.domain.unpacking import Unstorable


def described(post: Post, body: bytes) -> UserDescription:
    """The description in a post's unpacked body. Raises Unstorable where there is none in it."""
    if not is_reference_id(post.reference_id):
        raise Unstorable(DeadLetterReason.INVALID_DESCRIPTION, "It does not say of which event it is.")
    try:
        description = description_in(decoded(body, post.content_type))
    except Refusal as refusal:
        faults = " ".join(fault for of_field in refusal.fields.values() for fault in of_field)
        raise Unstorable(DeadLetterReason.INVALID_DESCRIPTION, faults or refusal.title) from refusal
    if description is None:
        raise Unstorable(DeadLetterReason.INVALID_DESCRIPTION, "It says nothing.")
    return UserDescription(post.id, post.project_id, post.organization_id, post.reference_id, description)
