"""Paths with a trailing slash or capitals reach the same routes."""

import re

import pytest
from aiohttp import web

from collector.api.app import ROUTES as API_ROUTES
from collector.http.connection.path_spelling import PathSpelling
from collector.ingest.routes import ROUTES as OF_INGEST

VALUES = {
    "objectid": "0A" * 12,
    "objectids": f"{'0A' * 12},{'0b' * 16}",
    "identifier": "Order-4711",
    "token": "aB-" * 10,
    "tokens": f"{'aB-' * 10},{'Cd' * 12}",
    "text": "Some%20Text",
}


async def _handler(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.fixture(scope="module")
def spelling() -> PathSpelling:
    """The spellings of all routes."""
    app = web.Application()
    app.add_routes(OF_INGEST)
    for route in API_ROUTES:
        app.router.add_route(route.method, route.pattern, _handler)
    app.router.add_get("/docs", _handler)
    return PathSpelling(app.router.resources())


@pytest.mark.parametrize("path", sorted({route.path for route in API_ROUTES}))
def test_every_route_of_the_api_has_other_spellings(spelling: PathSpelling, path: str) -> None:
    """Values of parameters keep their case."""
    usual = "/api/v2" + re.sub(r"\{\w+:(\w+)\}", lambda found: VALUES[found[1]], path)
    capitals = "/API/V2" + "/".join(
        VALUES[part[1:-1].split(":")[1]] if part.startswith("{") else part.title() for part in path.split("/")
    )

    assert spelling.usual(usual) == usual
    assert [spelling.usual(f"{usual}/"), spelling.usual(capitals), spelling.usual(f"{capitals}/")] == [
        usual,
        usual,
        usual,
    ]


@pytest.mark.parametrize("path", ["/DOCS", "/docs/", "/api/V2/nothing/", "/API", "/api/", "/", "*", ""])
def test_other_paths_stay_unchanged(spelling: PathSpelling, path: str) -> None:
    """Those of pages, and unknown ones."""
    assert spelling.usual(path) == path


def test_a_route_with_a_constraint_matches_only_valid_values(spelling: PathSpelling) -> None:
    """Of two routes with the same number of parts."""
    assert spelling.usual("/api/v2/Events/COUNT") == "/api/v2/events/count"
    assert spelling.usual("/api/v2/Events/0A0a") == "/api/v2/Events/0A0a"
