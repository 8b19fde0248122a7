"""Parses and validates a user's description of an event as clients send it (contract 3.9).

Clients do not retry a refused description, so validation is lenient: it needs some content, and an e-mail
address must be plausible.
"""

from typing import Any, Final

from collector.domain.errors import BadRequest, Invalid
from collector.domain.intake.email_address import is_email_address
from collector.domain.jsonb.text import encode_object, is_too_deep, parse_object

_NAMES: Final = {
    "email_address": "email_address",
    "emailaddress": "email_address",
    "useremail": "email_address",
    "user_email": "email_address",
    "description": "description",
    "userdescription": "description",
    "user_description": "description",
    "data": "data",
}
"""The spellings of API versions 1 and 2, in lower case."""
_TEXTS: Final = ("email_address", "description")


def parse_description(text: str) -> bytes | None:
    """The description as UTF-8 JSON with the member names of version 2; None for an object without content.

    Raises BadRequest if the text is not a JSON object, and Invalid with the errors of its fields.
    """
    written = None if is_too_deep(text) else parse_object(text.strip())
    if written is None:
        raise BadRequest("The body must be a JSON object.")
    members: dict[str, Any] = {}
    for name, value in written.items():
        known = _NAMES.get(name.lower())
        content = value.strip() if isinstance(value, str) else value
        if known is not None and content not in (None, ""):
            members.setdefault(known, content)  # of two spellings, the first counts
    if not members:
        return None
    if faults := _faults(members):
        raise Invalid(fields=faults)
    return encode_object(members)


def _faults(members: dict[str, Any]) -> dict[str, list[str]]:
    faults: dict[str, list[str]] = {}
    for name in _TEXTS:
        if not isinstance(members.get(name, ""), str):
            faults[name] = [f"The {name} field must be a string."]
    if not isinstance(members.get("data", {}), dict):
        faults["data"] = ["The data field must be an object."]
    if not any(name in members for name in _TEXTS):
        faults["description"] = ["A description or an e-mail address is required."]
    address = members.get("email_address")
    if isinstance(address, str) and not is_email_address(address):
        faults["email_address"] = ["The email_address field is not a valid e-mail address."]
    return faults
