"""The routes of the pages: `/`, the web app, `/docs`, the OpenAPI document, and the files of all these.

`/` is the web app for people whose browser is logged in, and the landing page for visitors.

The pages load nothing from other hosts, and their Content-Security-Policy forbids it.
"""

import gzip
from collections.abc import Mapping
from string import Template
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from collector.api.auth.cookies import has_cookie
from collector.api.core.absolute_urls import request_origin
from collector.api.core.route import CONSTRAINTS
from collector.api.pages.assets import PATH, asset_response, compressed, load_assets
from collector.api.pages.landing import landing_page, load_template
from collector.domain.errors import NotFound
from collector.http.health import Check, SharedChecks
from collector.http.responses import JSON_TYPE, escaped

DOCUMENT_PATH: Final = "/docs/v2/openapi.json"

_HTML: Final = "text/html; charset=utf-8"
_FILES: Final = (
    "page.css",
    "landing.js",
    "api.css",
    "api.js",
    "mark.svg",
    "web_app/app.css",
    "web_app/app.js",
    "web_app/theme.js",
    "swagger_ui/swagger-ui.css",
    "swagger_ui/swagger-ui-bundle.js",
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""`data:` is for the arrows in Swagger UI's style sheet."""
_APP_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
APP_PATHS: Final = (
    "/login",
    "/signup",
    "/stacks",
    f"/stack/{{id:{CONSTRAINTS['objectid']}}}",
    "/events",
    f"/event/{{id:{CONSTRAINTS['objectid']}}}",
    f"/event/by-ref/{{reference:{CONSTRAINTS['identifier']}}}",
    "/stream",
    "/sessions",
    f"/session/{{id:{CONSTRAINTS['identifier']}}}",
    f"/project/{{id:{CONSTRAINTS['objectid']}}}/{{page:[a-z-]{{1,30}}}}",
    f"/organization/{{id:{CONSTRAINTS['objectid']}}}/{{page:[a-z-]{{1,30}}}}",
    "/account",
    "/system",
)
"""What the web app answers to; every other unknown path is 404 (contract 10, row 29)."""


def add_pages(
    app: web.Application, document: Mapping[str, Any], checks: Mapping[str, Mapping[str, Check]]
) -> None:
    """Serve the pages; the landing page shows each name in `checks` as working while its checks pass."""
    assets = load_assets(_FILES)
    by_name = {asset.name: asset for asset in assets.values()}
    substitutions = {
        name.rpartition("/")[2].replace(".", "_").replace("-", "_"): PATH + asset.name
        for name, asset in assets.items()
    }
    landing = Template(load_template("landing.html").safe_substitute(substitutions))
    api_page = load_template("api.html").substitute(substitutions)
    app_page = load_template("web_app/index.html").substitute(substitutions)
    capabilities = {name: SharedChecks(capability) for name, capability in checks.items()}
    text = escaped(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    packed = gzip.compress(text, 6, mtime=0)

    async def get_app(_request: web.Request) -> web.Response:
        return _page(app_page, _APP_POLICY)

    async def get_landing(request: web.Request) -> web.Response:
        if has_cookie(request):
            return _page(app_page, _APP_POLICY)
        found = {name: await capability.run() for name, capability in capabilities.items()}
        return _page(landing_page(landing, request_origin(request), found))

    async def get_api_page(_request: web.Request) -> web.Response:
        return _page(api_page)

    async def get_document(request: web.Request) -> web.Response:
        return compressed(request, packed, JSON_TYPE, {hdrs.CACHE_CONTROL: "no-cache"})

    async def get_asset(request: web.Request) -> web.Response:
        asset = by_name.get(request.match_info["name"])
        if asset is None:
            raise NotFound
        return asset_response(request, asset)

    async def to_api_page(_request: web.Request) -> web.Response:
        raise web.HTTPPermanentRedirect("../docs")

    app.router.add_get("/", get_landing)
    for path in APP_PATHS:
        app.router.add_get(path, get_app)
    app.router.add_get("/docs", get_api_page)
    app.router.add_get("/docs/", to_api_page)
    app.router.add_get(DOCUMENT_PATH, get_document)
    app.router.add_get(f"/{PATH}{{name}}", get_asset)


def _page(text: str, policy: str = _POLICY) -> web.Response:
    headers = {
        hdrs.CONTENT_TYPE: _HTML,
        hdrs.CACHE_CONTROL: "no-store",
        "Content-Security-Policy": policy,
    }
    return web.Response(body=text.encode(), headers=headers)
