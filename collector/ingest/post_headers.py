"""The headers that posts and their answers have of their own."""

from typing import Final

from aiohttp import web
from multidict import istr

CONFIG_VERSION_HEADER: Final = "X-Exceptionless-ConfigVersion"
LEGACY_CONFIG_VERSION_HEADER: Final = "v"
CONFIG_VERSION_HEADERS: Final = (CONFIG_VERSION_HEADER, LEGACY_CONFIG_VERSION_HEADER)
CLIENT_HEADER: Final = istr("X-Exceptionless-Client")

LEGACY_API: Final = 1
_API: Final = 2
_LEGACY_PATHS: Final = "/api/v1/"


def header_text(header: str) -> str:
    """A header's text without the lone surrogates that bytes outside UTF-8 arrive as."""
    return header if header.isascii() else header.encode("utf-8", "replace").decode()


def api_version_of(request: web.BaseRequest) -> int:
    """Which version of the API the path belongs to."""
    return LEGACY_API if request.path.startswith(_LEGACY_PATHS) else _API


def config_version_header(request: web.BaseRequest, config_version: int) -> dict[str, str]:
    """The version of the client configuration, under the name that the path's version has for it."""
    is_legacy = api_version_of(request) == LEGACY_API
    return {LEGACY_CONFIG_VERSION_HEADER if is_legacy else CONFIG_VERSION_HEADER: str(config_version)}
