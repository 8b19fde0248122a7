"""Query parameters: names in any case, paging, and a clear no to what is not supported."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta

from collector.domain.errors import BadRequest
from collector.http.operation import Parameter

DEFAULT_LIMIT: Final = 10
MAXIMUM_OFFSET: Final = 1000
"""What lies deeper is answered as an empty page (contract 4)."""


STATISTICS: Final = Parameter(
    "mode", "`stats` fills in the counts, which takes longer; they are 0 otherwise.", Literal["stats"]
)
TOTAL: Final = Parameter(
    "include", "`total` adds the header `X-Result-Count`, the number of all results.", Literal["total"]
)


def paging(maximum: int) -> tuple[Parameter, ...]:
    """The two parameters of a list in pages, as the document has them."""
    limit = Annotated[int, Meta(ge=1, le=maximum)]
    return (
        Parameter("page", "The number of the page, from 1.", Annotated[int, Meta(ge=1)]),
        Parameter("limit", f"Entries on a page: 1 to {maximum}, {DEFAULT_LIMIT} by default.", limit),
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: `number` from 1, `limit` entries."""

    number: int
    limit: int

    @property
    def offset(self) -> int:
        """The entries before it."""
        return (self.number - 1) * self.limit

    @property
    def previous(self) -> "Page":
        """The one before it."""
        return Page(self.number - 1, self.limit)

    def after(self, entries: int) -> "Page":
        """The page that begins where the first `entries` (1 to `limit`) of this one end.

        Of no more than `limit` entries, of as many as the pages before it can be counted in.
        """
        begin = self.offset + entries
        limit = next(size for size in range(self.limit, 0, -1) if begin % size == 0)
        return Page(begin // limit + 1, limit)

    @property
    def is_too_deep(self) -> bool:
        """Whether nothing is shown so far down."""
        return self.offset > MAXIMUM_OFFSET


def parameters_of(request: web.Request, *, unsupported: Iterable[str] = ()) -> dict[str, str]:
    """The query parameters that say something, by lower-case name.

    Raises BadRequest for one of `unsupported`: to ignore it would give a wrong answer.
    """
    given = {name.lower(): text for name, text in request.query.items() if text.strip()}
    for name in unsupported:
        if name in given:
            raise BadRequest(f"The parameter `{name}` is not supported here.")
    return given


def page_of(parameters: dict[str, str], *, maximum: int) -> Page:
    """The page that is asked for: out of range is mended, what is no number is refused."""
    limit = _number(parameters, "limit", DEFAULT_LIMIT)
    limit = DEFAULT_LIMIT if limit < 1 else min(limit, maximum)
    return Page(max(1, _number(parameters, "page", 1)), limit)


def includes_total(parameters: dict[str, str]) -> bool:
    """Whether `include=total` is asked for, alone or in a list."""
    return "total" in (part.strip() for part in parameters.get("include", "").lower().split(","))


def wants_statistics(parameters: dict[str, str]) -> bool:
    """Whether counts are asked for, which takes longer."""
    return parameters.get("mode", "").strip().lower() == "stats"


def _number(parameters: dict[str, str], name: str, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"The parameter `{name}` must be a whole number.") from None
