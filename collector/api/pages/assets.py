"""The files that the pages load: named by their contents, so that a browser asks for each only once."""

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

PATH: Final = "docs/assets/"
"""Relative to the root: pages name their files so, and keep working wherever a proxy puts them."""

_KEPT_FOR_GOOD: Final = "public, max-age=31536000, immutable"
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
    """The files, by their names as they are on disk."""
    return {name: _load(name) for name in names}


def compressed(
    request: web.Request, packed: bytes, content_type: str, headers: Mapping[str, str]
) -> web.Response:
    """An answer from what was compressed once, also for the few who cannot unpack it."""
    said = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: hdrs.ACCEPT_ENCODING, **headers}
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=packed, headers={**said, hdrs.CONTENT_ENCODING: "gzip"})
    return web.Response(body=gzip.decompress(packed), headers=said)


def asset_response(request: web.Request, asset: Asset) -> web.Response:
    """The file, to be kept."""
    return compressed(request, asset.packed, asset.content_type, {hdrs.CACHE_CONTROL: _KEPT_FOR_GOOD})


def _load(name: str) -> Asset:
    body = files(__package__).joinpath(name).read_bytes()
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    digest = hashlib.sha256(body).hexdigest()[:12]
    # mtime=0: the same bytes in every process, which several ingest processes on one port are.
    return Asset(f"{stem}.{digest}{dot}{suffix}", _TYPES[f".{suffix}"], gzip.compress(body, 6, mtime=0))
