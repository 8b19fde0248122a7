"""What is wrong with the ids in a path that was answered 404, as a well-formed unknown id is."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from aiohttp import web

from collector.domain.ids import is_reference_id, parse_uuid

_TOKENS: Final = "tokens"
_REFERENCES: Final = frozenset({"referenceId", "sessionId"})


def malformed_id(request: web.Request) -> str | None:
    """A sentence about the first malformed id; None where every id in the path could be one.

    It names the parameter, not its text, which may be a secret.
    """
    for name, text, is_token in _ids(request):
        is_well_formed, rule = _TOKEN if is_token else _REFERENCE if name in _REFERENCES else _ID
        if not all(map(is_well_formed, text.split(","))):
            return f"`{name}` in the path is malformed: {rule}."
    return None


def _ids(request: web.Request) -> Iterator[tuple[str, str, bool]]:
    """The name and the text of each id in the path, and whether it is a token."""
    # The path matched no route; find the one with the same fixed parts, and compare the others.
    written = request.rel_url.raw_path.split("/")
    for resource in request.app.router.resources():
        parts = resource.canonical.split("/")
        if "{" not in resource.canonical or len(parts) != len(written):
            continue
        named: Mapping[str, str] = {
            part[1:-1]: text for part, text in zip(parts, written, strict=True) if part.startswith("{")
        }
        fixed = [part for part in parts if not part.startswith("{")]
        if fixed == [text for part, text in zip(parts, written, strict=True) if not part.startswith("{")]:
            for name, text in named.items():
                if name in {"id", "ids"} or name.endswith("Id"):
                    yield name, text, parts[parts.index(f"{{{name}}}") - 1] == _TOKENS
            return


_Rule = tuple[Callable[[str], bool], str]
_ID: Final[_Rule] = (lambda text: parse_uuid(text) is not None, "an id has 32 hexadecimal characters")
_REFERENCE: Final[_Rule] = (is_reference_id, "a reference id has 8 to 100 letters, digits or `-`")
_TOKEN: Final[_Rule] = (
    lambda text: 24 <= len(text) <= 40 and text.isascii() and text.replace("-", "").isalnum(),  # noqa: PLR2004
    "a token has 24 to 40 letters, digits or `-`",
)
