"""URLs in answers: absolute if the client's `Host` is a valid host, otherwise relative references.

`Link` and `Location` allow both; clients resolve a relative reference against the requested URL.
"""

import re
from typing import Final

from aiohttp import web
from yarl import URL

from collector.api.core.service import API
from collector.http.client_address import NO_PROXIES, client_scheme

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_HIGHEST_PORT: Final = 65_535


def absolute_url(request: web.Request, reference: URL | str) -> str:
    """The path (and query) on the host that the client addressed. Never fails, whatever `Host` contains."""
    return f"{request_origin(request) or ''}{reference}"


def request_origin(request: web.Request) -> str | None:
    """The origin that the client addressed, such as `https://example.com:8443`; None for an invalid host."""
    host = _HOST.fullmatch(request.host)
    if host is None or int(host[1] or 0) > _HIGHEST_PORT:
        return None
    api = request.app.get(API)
    return f"{client_scheme(request, api.trusted_proxies if api else NO_PROXIES)}://{request.host}"
