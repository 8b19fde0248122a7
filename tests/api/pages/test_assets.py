"""The files that the pages load."""

import gzip
import hashlib
from importlib.resources import files

from aiohttp.test_utils import make_mocked_request

from collector.api.pages.assets import asset_response, load_assets

ANY = "mark.svg"


def test_swagger_ui_is_unchanged() -> None:
    """It is too large to review, so its checksums are tested; `make swagger-ui` updates it."""
    folder = files("collector.api.pages").joinpath("swagger_ui")
    lines = folder.joinpath("SHA256SUMS").read_text().splitlines()
    written = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {name: hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() for name in written}

    assert set(written) == {"swagger-ui-bundle.js", "swagger-ui.css"}
    assert found == written


def test_an_asset_is_immutable_under_a_name_with_its_hash() -> None:
    """A new version has a new name, so browsers never use an old one."""
    asset = load_assets([ANY])[ANY]
    response = asset_response(make_mocked_request("GET", "/"), asset)

    assert asset.name.startswith("mark.")
    assert hashlib.sha256(gzip.decompress(asset.packed)).hexdigest()[:12] in asset.name
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_a_client_without_compression_gets_the_plain_file() -> None:
    """And caches keep the two apart."""
    asset = load_assets([ANY])[ANY]
    plain = asset_response(make_mocked_request("GET", "/"), asset)
    packed = asset_response(make_mocked_request("GET", "/", headers={"Accept-Encoding": "br, gzip"}), asset)

    assert isinstance(plain.body, bytes)
    assert plain.body.startswith(b"<svg")
    assert (packed.headers["Content-Encoding"], packed.body) == ("gzip", asset.packed)
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
