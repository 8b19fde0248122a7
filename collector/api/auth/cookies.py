"""The login of the web app: the same login token, in a cookie that scripts cannot read.

A browser attaches a cookie to every request to us, also to those that another page caused. So the cookie
counts only where the browser says that our own page sent the request: by `Sec-Fetch-Site`, or by `Origin`
where the page was not loaded over TLS and there is no `Sec-Fetch-Site`. `SameSite=Strict` alone would admit
the other ports of this host and its sibling domains.
"""

from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from collector.api.core.absolute_urls import request_origin
from collector.api.core.service import API
from collector.api.request.parameters import flag, query_parameters
from collector.database.owners.tokens import LOGIN_VALID
from collector.domain.errors import Forbidden
from collector.http.client_address import client_scheme
from collector.http.operation import Answer, Parameter

USE_COOKIES: Final = Parameter(
    "useCookies", "`true` puts the login into a cookie for our own pages instead of the answer: 204.", bool
)
IN_COOKIE: Final = {
    int(HTTPStatus.NO_CONTENT): Answer(description="With `useCookies=true`: the login is in a cookie.")
}

_NAME: Final = "headrace"
_NAME_OVER_TLS: Final = "__Host-headrace"
"""The prefix makes browsers refuse one that a sibling domain or a page without TLS has set."""
_READING: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_FETCH_SITE: Final = "Sec-Fetch-Site"
_OURS: Final = "same-origin"
_BY_THE_PERSON: Final = "none"
"""Typed into the address bar, or a bookmark."""


def wants_cookie(request: web.Request) -> bool:
    """Whether the login is to be set as a cookie. Raises Forbidden if another page wants that."""
    wants = flag(query_parameters(request), "useCookies")
    if wants and not _is_from_our_page(request):
        raise Forbidden("Only a page of this server can ask for a cookie.")
    return wants


def cookie_response(request: web.Request, secret: str) -> web.Response:
    """The answer that logs the browser in."""
    response = web.Response(status=HTTPStatus.NO_CONTENT, headers={hdrs.CACHE_CONTROL: "no-store"})
    response.set_cookie(
        _name(request),
        secret,
        max_age=int(LOGIN_VALID.total_seconds()),
        path="/",
        secure=_is_over_tls(request),
        httponly=True,
        samesite="Strict",
    )
    return response


def remove_cookie(request: web.Request, response: web.Response) -> None:
    """Let the browser forget its login."""
    if _name(request) in request.cookies:
        response.del_cookie(
            _name(request), path="/", secure=_is_over_tls(request), httponly=True, samesite="Strict"
        )


def login_in_cookie(request: web.Request) -> str | None:
    """The login token in the request's cookie; None where the cookie does not count."""
    secret = request.cookies.get(_name(request))
    return secret if secret and _is_from_our_page(request) else None


def has_cookie(request: web.Request) -> bool:
    """Whether the browser believes that it is logged in; what it shows is decided by the api."""
    return _name(request) in request.cookies


def _is_from_our_page(request: web.Request) -> bool:
    reads = request.method in _READING
    # The browser says it outright over TLS and on the machine itself; a person may also type an address.
    if site := request.headers.get(_FETCH_SITE):
        return site == _OURS or (reads and site == _BY_THE_PERSON)
    # Elsewhere it names the page that sent a request, except for one of our own that only reads.
    origin = request.headers.get(hdrs.ORIGIN)
    return reads if origin is None else origin == request_origin(request)


def _name(request: web.Request) -> str:
    return _NAME_OVER_TLS if _is_over_tls(request) else _NAME


def _is_over_tls(request: web.Request) -> bool:
    api = request.app.get(API)
    return api is not None and client_scheme(request, api.trusted_proxies) == "https"
