"""Session keys: events and heartbeats find their session by its id or by their user's identity."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from collector.domain.event.members import as_text
from collector.domain.ids import is_reference_id

SESSION_START: Final = "session"
SESSION_END: Final = "sessionend"
SESSION_REFERENCE: Final = "@ref:session"
"""The member of `data` that names an event's session."""

_LONGEST_TEXT: Final = 1000
_USUAL_LENGTH: Final = 200
"""Longer texts are not cached: they may be as long as a post."""
_INVALID: Final = "invalid-reference-id"


class SessionKey(NamedTuple):
    """The digest of the id that an event names (then the session is manual), or of its user's identity."""

    project_id: bytes
    digest: bytes
    is_manual: bool


def session_key(
    project_id: bytes, event_type: str, reference_id: str | None, named: str | None, identity: str | None
) -> SessionKey | None:
    """The key of an event's session: a start's reference id, else the session it names, else its user."""
    if event_type == SESSION_START and is_session_id(reference_id):
        named = reference_id
    # A named session takes precedence over the user's.
    if named and not named.isspace():
        return (_known if len(named) <= _USUAL_LENGTH else _key)(project_id, named, True)  # noqa: FBT003
    if identity and not identity.isspace():
        return (_known if len(identity) <= _USUAL_LENGTH else _key)(project_id, identity, False)  # noqa: FBT003
    return None


def session_names(data: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The session that an event's data names, and its user."""
    user = data.get("@user")
    identity = user.get("identity") if isinstance(user, dict) else None
    return as_text(data.get(SESSION_REFERENCE)), as_text(identity)


def is_session_id(reference_id: str | None) -> bool:
    """Whether a start's reference id names its session."""
    return reference_id is not None and reference_id != _INVALID and is_reference_id(reference_id)


def digest_of_key(text: str) -> bytes:
    """The digest of a session id or a user's identity: 20 bytes, so that keys are short and unreadable."""
    name = text.strip()[:_LONGEST_TEXT].encode("utf-8", "replace")
    return hashlib.sha1(name, usedforsecurity=False).digest()


def _key(project_id: bytes, text: str, is_manual: bool) -> SessionKey:  # noqa: FBT001 - as the cache has it
    return SessionKey(project_id, digest_of_key(text), is_manual)


_known = lru_cache(maxsize=16_384)(_key)
"""Caches keys, because a user sends many events. Keyword arguments would double the lookup time."""
