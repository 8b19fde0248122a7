"""What is wrong with the ids in a path that was answered 404, as a well-formed unknown id is."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from collector.domain.ids import is_reference_id, parse_uuid

_TOKENS: Final = "tokens"
_REFERENCES: Final = frozenset({"referenceId", "sessionId"})


def malformed_id(request: web.Request) -> str | None:
    """A sentence about the first malformed id; None where every id in the path could be one.

    It names the parameter, not its text, which may be a secret.
    """
    written = request.rel_url.raw_path.split("/")
    for resource in request.app.router.resources():
        # The path matched no route: take the first one that differs from it only in its parameters.
        parts = resource.canonical.split("/")
        if "{" not in resource.canonical or len(parts) != len(written):
            continue
        if any(part != text and not part.startswith("{") for part, text in zip(parts, written, strict=True)):
            continue
        for before, part, text in zip(["", *parts], parts, written, strict=False):
            name = part[1:-1]
            if not part.startswith("{") or not (name in {"id", "ids"} or name.endswith("Id")):
                continue
            # What an id may look like depends on what it names.
            is_well_formed, rule = _TOKEN if before == _TOKENS else _REFERENCE if name in _REFERENCES else _ID
            if not all(map(is_well_formed, text.split(","))):
                return f"`{name}` in the path is malformed: {rule}."
        return None
    return None


_Rule = tuple[Callable[[str], bool], str]
_ID: Final[_Rule] = (lambda text: parse_uuid(text) is not None, "an id has 32 hexadecimal characters")
_REFERENCE: Final[_Rule] = (is_reference_id, "a reference id has 8 to 100 letters, digits or `-`")
_TOKEN: Final[_Rule] = (
    lambda text: 24 <= len(text) <= 40 and text.isascii() and text.replace("-", "").isalnum(),  # noqa: PLR2004
    "a token has 24 to 40 letters, digits or `-`",
)
