"""Names of organizations and projects: something to read, and no other one beside them has the same."""

from typing import Annotated, Final

from msgspec import Meta

from collector.domain.errors import BadRequest

Name = Annotated[str, Meta(max_length=255, description="a text of at most 255 characters")]

_FIELD: Final = "name"


def clean_name(kind: str, name: str) -> str:
    """The name without blanks around it. Raises BadRequest where nothing is left."""
    clean = name.strip()
    if not clean:
        raise BadRequest(f"{kind} name is required.", fields={_FIELD: [f"{kind} name is required."]})
    return clean


def taken(kind: str) -> BadRequest:
    """Another one has the name."""
    sentence = f"A{'n' if kind[0] in 'AEIOU' else ''} {kind.lower()} with this name already exists."
    return BadRequest(sentence, fields={_FIELD: [sentence]})
