"""Names of organizations and projects: not blank, and unique within their owner."""

from typing import Annotated

from msgspec import Meta

from collector.domain.errors import BadRequest

Name = Annotated[str, Meta(max_length=255, description="a text of at most 255 characters")]


def clean_name(kind: str, name: str) -> str:
    """The name without surrounding whitespace. Raises BadRequest if nothing remains."""
    clean = name.strip()
    if not clean:
        raise BadRequest(f"{kind} name is required.", fields={"name": [f"{kind} name is required."]})
    return clean


def name_taken(kind: str) -> BadRequest:
    """The refusal of a name that another organization or project has."""
    sentence = f"A{'n' if kind[0] in 'AEIOU' else ''} {kind.lower()} with this name already exists."
    return BadRequest(sentence, fields={"name": [sentence]})
