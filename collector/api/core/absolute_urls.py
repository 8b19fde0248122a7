"""URLs in answers: absolute where the client said a host that can be one, else relative references.

Both are allowed in `Link` and `Location`; a client resolves the latter against what it has asked for.
"""

import re
from typing import Final

from aiohttp import web
from yarl import URL

from collector.api.core.service import API
from collector.http.client_address import TrustedProxies, client_scheme

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_HIGHEST_PORT: Final = 65_535


def absolute_url(request: web.Request, reference: URL | str) -> str:
    """The path (and query) on the host that the client asked; never fails, whatever its `Host` holds."""
    return f"{origin_of(request) or ''}{reference}"


def origin_of(request: web.Request) -> str | None:
    """`https://example.com:8443`, as the client asked; None where that cannot be a host."""
    host = _HOST.fullmatch(request.host)
    if host is None or int(host[1] or 0) > _HIGHEST_PORT:
        return None
    api = request.app.get(API)
    return f"{client_scheme(request, api.trusted_proxies if api else TrustedProxies())}://{request.host}"
