"""Cross-origin requests: any page may post events and read what its token allows (contract 0).

Never with the browser's own credentials (contract 10, row 22): a page sends its token in a header. The routes
for operators, `/health` and `/metrics`, are not for pages at all. A preflight request carries no token, so it
is answered before authentication.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

_EXPOSED: Final = (
    "ETag, v, X-Exceptionless-ConfigVersion, Link, X-RateLimit-Limit, X-RateLimit-Remaining, X-Result-Count,"
    " X-Headrace-Filter-Warning, X-Headrace-Partial, X-Headrace-Estimated,"
    " X-Request-Id"
)
_PREFLIGHT_SECONDS: Final = 300
_ANY_ORIGIN: Final = "*"
"""Browsers refuse it for a request with credentials, even if a proxy adds the header that allows them."""
_FOR_OPERATORS: Final = ("/health", "/metrics")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def preflights(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer preflight requests to any path that is for pages; pass all others on."""
    # An OPTIONS request without these headers is not from a browser that asks for permission.
    method = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    if request.method != hdrs.METH_OPTIONS or method is None or not _is_of_a_page(request):
        return await handler(request)
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: method,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(_PREFLIGHT_SECONDS),
    }
    # Named one by one, because `*` does not include `Authorization`.
    if asked := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)


def add_cors_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Let the page that sent the request read the answer."""
    if not _is_of_a_page(request):
        return
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = _ANY_ORIGIN
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)


def _is_of_a_page(request: web.BaseRequest) -> bool:
    """Whether a page of any origin sent the request, to a path that is for pages."""
    if hdrs.ORIGIN not in request.headers:
        return False
    first = "/" + request.path.lstrip("/").partition("/")[0]
    return first not in _FOR_OPERATORS
