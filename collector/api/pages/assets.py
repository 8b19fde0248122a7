"""The files that the pages load; a digest in their names lets browsers cache them permanently."""

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

PATH: Final = "docs/assets/"
"""Relative to the root: pages refer to files this way, so that they work behind a proxy under any path."""

_CACHED_PERMANENTLY: Final = "public, max-age=31536000, immutable"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, compressed."""

    name: str
    content_type: str
    packed: bytes


def load_assets(names: Iterable[str]) -> Mapping[str, Asset]:
    """The files by their names on disk."""
    return {name: _load(name) for name in names}


def compressed(
    request: web.Request, packed: bytes, content_type: str, headers: Mapping[str, str]
) -> web.Response:
    """An answer from bytes that were compressed once; decompresses them for clients without gzip."""
    all_headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: hdrs.ACCEPT_ENCODING, **headers}
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=packed, headers={**all_headers, hdrs.CONTENT_ENCODING: "gzip"})
    return web.Response(body=gzip.decompress(packed), headers=all_headers)


def asset_response(request: web.Request, asset: Asset) -> web.Response:
    """The file, with permission to cache it permanently."""
    return compressed(request, asset.packed, asset.content_type, {hdrs.CACHE_CONTROL: _CACHED_PERMANENTLY})


def _load(name: str) -> Asset:
    body = files(__package__).joinpath(name).read_bytes()
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    digest = hashlib.sha256(body).hexdigest()[:12]
    # mtime=0 gives the same bytes in every process: several of them can serve one port.
    return Asset(f"{stem}.{digest}{dot}{suffix}", _TYPES[f".{suffix}"], gzip.compress(body, 6, mtime=0))
