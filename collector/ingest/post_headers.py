"""The headers specific to posts and their answers."""

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
    """The header without lone surrogates, as which aiohttp passes bytes that are not UTF-8."""
    return header if header.isascii() else header.encode("utf-8", "replace").decode()


def api_version(request: web.BaseRequest) -> int:
    """The version of the API that the path belongs to."""
    return LEGACY_API if request.path.startswith(_LEGACY_PATHS) else _API


def config_version_header(request: web.BaseRequest, config_version: int) -> dict[str, str]:
    """The header with the version of the client configuration, whose name depends on the API's version."""
    is_legacy = api_version(request) == LEGACY_API
    return {LEGACY_CONFIG_VERSION_HEADER if is_legacy else CONFIG_VERSION_HEADER: str(config_version)}
