"""Turns a queued post into a user's description of an event (contract 3.9).

Ingest has already validated it by the same rules, but the post may come from an ingest process of another
version.
"""

from collector.domain.errors import Refusal
from collector.domain.event.outcome import DeadLetterReason, UserDescription
from collector.domain.ids import is_reference_id
from collector.domain.intake.body import decode_text
from collector.domain.intake.decompress import UnstorablePost
from collector.domain.intake.description_request import parse_description
from collector.domain.jsonb.text import encode_object, parse_embedded_object
from collector.domain.post import Post
from collector.domain.project.exclusions import exclude
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules


def build_descriptions(
    post: Post, body: bytes, project: ProjectRules = DEFAULT_RULES
) -> list[UserDescription]:
    """The description in a post's decompressed body; empty if the project's exclusions remove all of it.

    Raises UnstorablePost if the body is not a valid description.
    """
    if not is_reference_id(post.reference_id):
        raise UnstorablePost(
            DeadLetterReason.INVALID_DESCRIPTION, "The description has no valid reference id of an event."
        )
    try:
        description = parse_description(decode_text(body, post.content_type))
    except Refusal as refusal:
        faults = " ".join(fault for faults_of_field in refusal.fields.values() for fault in faults_of_field)
        raise UnstorablePost(DeadLetterReason.INVALID_DESCRIPTION, faults or refusal.title) from refusal
    if description is None:
        raise UnstorablePost(DeadLetterReason.INVALID_DESCRIPTION, "The description is empty.")
    # What the project excludes is not stored, and that may be everything.
    if not project.leave_data_alone:
        members = parse_embedded_object(description.decode()) or {}
        if not project.include_private_information:
            members.pop("email_address", None)
        exclude(members.get("data"), project.exclusions)
        if not members:
            return []
        description = encode_object(members)
    return [UserDescription(post.id, post.project_id, post.organization_id, post.reference_id, description)]
