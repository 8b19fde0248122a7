"""Answers with lists: a bare array, its neighbours in `Link`, the number of all in `X-Result-Count`."""

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import hdrs, web

from collector.api.parameters import Page
from collector.http.responses import json_response

RESULT_COUNT_HEADER: Final = "X-Result-Count"


def list_response(
    request: web.Request, entries: Sequence[Any], page: Page, *, has_more: bool, total: int | None
) -> web.Response:
    """One page of a list; each `Link` is a header of its own."""
    headers = {} if total is None else {RESULT_COUNT_HEADER: str(total)}
    response = json_response(entries, headers=headers)
    if page.number > 1:
        response.headers.add(hdrs.LINK, _link(request, page.number - 1, "previous"))
    if has_more:
        response.headers.add(hdrs.LINK, _link(request, page.number + 1, "next"))
    return response


def _link(request: web.Request, page: int, relation: str) -> str:
    return f'<{request.url.update_query(page=page)}>; rel="{relation}"'
