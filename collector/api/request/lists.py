"""Answers with lists: a bare array, neighbouring pages in `Link`, the total in `X-Result-Count`."""

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar

from aiohttp import hdrs, web

from collector.api.core.absolute_urls import absolute_url
from collector.api.request.filter_warnings import FILTER_WARNING_HEADER, with_warnings
from collector.api.request.parameters import Page
from collector.http.responses import json_response

RESULT_COUNT_HEADER: Final = "X-Result-Count"
ESTIMATED_HEADER: Final = "X-Headrace-Estimated"
EXACT_SECONDS: Final = 5.0
"""Numbers that take longer to count are estimated."""
LIST_HEADERS: Final = (str(hdrs.LINK), RESULT_COUNT_HEADER)
FILTERED_LIST_HEADERS: Final = (*LIST_HEADERS, FILTER_WARNING_HEADER)

Entry = TypeVar("Entry")

_POSITIONS: Final = frozenset({"page", "before", "after"})


class ReadEntries(Protocol[Entry]):
    """Reads part of a list."""

    async def __call__(self, *, limit: int, offset: int) -> list[Entry]:
        """At most `limit` entries after the first `offset`."""


async def read_page(page: Page, read: ReadEntries[Entry]) -> list[Entry]:
    """The entries of a page; none if it starts too far down the list."""
    return [] if page.is_too_deep else await read(limit=page.limit, offset=page.offset)


def counted_list_response(
    request: web.Request, entries: Sequence[Any], page: Page, total: int
) -> web.Response:
    """One page of a list whose total is known, which also says whether another page follows."""
    following = page.after(len(entries)) if entries and page.offset + len(entries) < total else None
    return list_response(request, entries, page, following, total)


def list_response(
    request: web.Request, entries: Sequence[Any], page: Page, following: Page | None, total: int | None
) -> web.Response:
    """One page of a list with a `Link` header for each neighbouring page."""
    headers = {} if total is None else {RESULT_COUNT_HEADER: str(total)}
    response = with_warnings(request, json_response(entries, headers=headers))
    if page.number > 1:
        response.headers.add(hdrs.LINK, _link(request, page, page.previous, "previous"))
    if following is not None:
        response.headers.add(hdrs.LINK, _link(request, page, following, "next"))
    return response


def add_link(request: web.Request, response: web.Response, relation: str, **parameters: str) -> None:
    """Add a `Link` to the same list at another position, which replaces the request's own."""
    kept = [(name, text) for name, text in request.query.items() if name.lower() not in _POSITIONS]
    url = request.rel_url.with_query([*kept, *parameters.items()])
    response.headers.add(hdrs.LINK, f'<{absolute_url(request, url)}>; rel="{relation}"')


def _link(request: web.Request, page: Page, other: Page, relation: str) -> str:
    url = request.rel_url.update_query(page=other.number)
    if other.limit != page.limit:
        url = url.update_query(limit=other.limit)
    return f'<{absolute_url(request, url)}>; rel="{relation}"'
