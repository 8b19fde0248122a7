"""A user's description of an event, as the worker finds it in a post of that kind (contract 3.9).

Ingest has checked it by the same rules; but what is in the stream may come from an ingest process of another
version.
"""

from collector.domain.errors import Refusal
from collector.domain.event.outcome import DeadLetterReason, UserDescription
from collector.domain.ids import is_reference_id
from collector.domain.intake.body import decoded
from collector.domain.intake.decompress import Unstorable
from collector.domain.intake.description_request import description_in
from collector.domain.jsonb.text import encoded, object_within
from collector.domain.post import Post
from collector.domain.project.exclusions import exclude
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules


def described(post: Post, body: bytes, project: ProjectRules = DEFAULT_RULES) -> list[UserDescription]:
    """The description in a post's unpacked body, if the project leaves anything of it.

    Raises Unstorable where there is none in it.
    """
    if not is_reference_id(post.reference_id):
        raise Unstorable(DeadLetterReason.INVALID_DESCRIPTION, "It does not say of which event it is.")
    try:
        description = description_in(decoded(body, post.content_type))
    except Refusal as refusal:
        faults = " ".join(fault for of_field in refusal.fields.values() for fault in of_field)
        raise Unstorable(DeadLetterReason.INVALID_DESCRIPTION, faults or refusal.title) from refusal
    if description is None:
        raise Unstorable(DeadLetterReason.INVALID_DESCRIPTION, "It says nothing.")
    kept = description if project.leave_data_alone else _kept(description, project)
    if kept is None:
        return []
    return [UserDescription(post.id, post.project_id, post.organization_id, post.reference_id, kept)]


def _kept(description: bytes, project: ProjectRules) -> bytes | None:
    members = object_within(description.decode()) or {}
    if not project.include_private_information:
        members.pop("email_address", None)
    exclude(members.get("data"), project.exclusions)
    return encoded(members) if members else None
