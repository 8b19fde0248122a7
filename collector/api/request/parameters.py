"""Query parameters: names in any case, paging, and an error for what is not supported."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from aiohttp import web
from msgspec import Meta

from collector.domain.errors import BadRequest
from collector.http.operation import Parameter

DEFAULT_LIMIT: Final = 10
MAXIMUM_OFFSET: Final = 1000
"""Pages that start deeper are empty (contract 4)."""

STATISTICS: Final = Parameter(
    "mode", "`stats` fills in the counts, which takes longer; they are 0 otherwise.", Literal["stats"]
)
TOTAL: Final = Parameter(
    "include", "`total` adds the header `X-Result-Count`, the number of all results.", Literal["total"]
)


def paging(maximum: int) -> tuple[Parameter, ...]:
    """The documented parameters of a list in pages."""
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
        """The number of entries before this page."""
        return (self.number - 1) * self.limit

    @property
    def previous(self) -> "Page":
        """The page before this one."""
        return Page(self.number - 1, self.limit)

    def after(self, entries: int) -> "Page":
        """The page that starts after the first `entries` (1 to `limit`) of this one.

        Its limit is the largest one, at most this page's, with which a page starts exactly there.
        """
        begin = self.offset + entries
        limit = next(size for size in range(self.limit, 0, -1) if begin % size == 0)
        return Page(begin // limit + 1, limit)

    @property
    def is_too_deep(self) -> bool:
        """Whether this page is always empty, because it starts too far down the list."""
        return self.offset > MAXIMUM_OFFSET


def query_parameters(request: web.Request, *, unsupported: Iterable[str] = ()) -> dict[str, str]:
    """The query parameters that are not blank, by lower-case name.

    Raises BadRequest for one of `unsupported`: ignoring it would give a wrong answer.
    """
    parameters = {name.lower(): text for name, text in request.query.items() if text.strip()}
    for name in unsupported:
        if name in parameters:
            raise BadRequest(f"The parameter `{name}` is not supported here.")
    return parameters


def flag(parameters: Mapping[str, str], name: str) -> bool:
    """A parameter that is `true` or `false`, and false by default. Raises BadRequest."""
    text = parameters.get(name.lower(), "false").strip().lower()
    if text not in {"true", "false"}:
        raise BadRequest(f"The parameter `{name}` must be `true` or `false`.")
    return text == "true"


def requested_page(parameters: dict[str, str], *, maximum: int) -> Page:
    """The requested page. Numbers out of range are corrected; raises BadRequest for anything else."""
    limit = _number(parameters, "limit", DEFAULT_LIMIT)
    limit = DEFAULT_LIMIT if limit < 1 else min(limit, maximum)
    return Page(max(1, _number(parameters, "page", 1)), limit)


def includes_total(parameters: dict[str, str]) -> bool:
    """Whether `include` contains `total`, alone or in a comma-separated list."""
    return "total" in (part.strip() for part in parameters.get("include", "").lower().split(","))


def wants_statistics(parameters: dict[str, str]) -> bool:
    """Whether `mode=stats` asks for counts, which take longer."""
    return parameters.get("mode", "").strip().lower() == "stats"


def _number(parameters: dict[str, str], name: str, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"The parameter `{name}` must be a whole number.") from None
