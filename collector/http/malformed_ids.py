"""What is wrong with an id in a path that leads nowhere. The status stays 404, as for one that is right."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from aiohttp import web

from collector.domain.ids import is_reference_id, parse_uuid

_TOKENS: Final = "tokens"
_REFERENCES: Final = frozenset({"referenceId", "sessionId"})


def fault_in_path(request: web.Request) -> str | None:
    """A sentence about the first malformed id; None where every id in the path could be one.

    It names the place, not the text: what stands there may be a secret.
    """
    for name, text, is_token in _ids(request):
        is_right, rule = _TOKEN if is_token else _REFERENCE if name in _REFERENCES else _ID
        if not all(map(is_right, text.split(","))):
            return f"`{name}` in the path is malformed: {rule}."
    return None


def _ids(request: web.Request) -> Iterator[tuple[str, str, bool]]:
    """The name and the text of each id, and whether it is a token's."""
    written = request.rel_url.raw_path.split("/")
    for parts in _templates(request, len(written)):
        named: Mapping[str, str] = {
            part[1:-1]: text for part, text in zip(parts, written, strict=True) if part.startswith("{")
        }
        fixed = [part for part in parts if not part.startswith("{")]
        if fixed == [text for part, text in zip(parts, written, strict=True) if not part.startswith("{")]:
            for name, text in named.items():
                if name in {"id", "ids"} or name.endswith("Id"):
                    yield name, text, parts[parts.index(f"{{{name}}}") - 1] == _TOKENS
            return


def _templates(request: web.Request, length: int) -> Iterator[list[str]]:
    """The paths of the routes with so many parts."""
    for resource in request.app.router.resources():
        if "{" in resource.canonical and len(parts := resource.canonical.split("/")) == length:
            yield parts


def _is_id(text: str) -> bool:
    return parse_uuid(text) is not None


def _is_token(text: str) -> bool:
    return 24 <= len(text) <= 40 and text.isascii() and text.replace("-", "").isalnum()  # noqa: PLR2004


_Rule = tuple[Callable[[str], bool], str]
_ID: Final[_Rule] = (_is_id, "an id has 32 hexadecimal characters")
_REFERENCE: Final[_Rule] = (is_reference_id, "a reference id has 8 to 100 letters, digits or `-`")
_TOKEN: Final[_Rule] = (_is_token, "a token has 24 to 40 letters, digits or `-`")
