"""Pages of any origin use the API with their token, never with what the browser knows of the user."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from collector.http.health import add_health
from collector.http.server import Address, application, listen

ASKED = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """A client of an application with one route for pages, and those for operators."""

    async def projects(_request: web.Request) -> web.Response:
        return web.Response(text="[]")

    app = application()
    app.router.add_get("/api/v2/projects", projects)
    add_health(app, {}, CollectorRegistry())
    listener = await listen(app, Address("127.0.0.1", 0))
    try:
        async with ClientSession(f"http://127.0.0.1:{listener.port}") as session:
            yield session
    finally:
        await listener.close()


@pytest.mark.parametrize("origin", ["https://shop.example", "null", "http://127.0.0.1:3000"])
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_any_page_may_read_answers_but_not_with_the_browsers_credentials(
    session: ClientSession, method: str, origin: str
) -> None:
    """The origin is not reflected: then a browser lets no page send cookies or stored passwords along."""
    headers = {"Origin": origin, "Cookie": "a=b"} | (ASKED if method == "OPTIONS" else {})
    async with session.request(method, "/api/v2/projects", headers=headers) as answer:
        assert answer.status == (204 if method == "OPTIONS" else 200)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/metrics", "/health", "/health/ready", "/health/live"])
async def test_pages_read_neither_metrics_nor_health(session: ClientSession, path: str) -> None:
    """Neither with a preflight, nor without one."""
    origin = {"Origin": "https://shop.example"}
    async with (
        session.get(path, headers=origin) as answer,
        session.options(path, headers=origin | ASKED) as preflight,
    ):
        for each in (answer, preflight):
            assert not [name for name in each.headers if name.startswith("Access-Control")]
        assert (answer.status, preflight.status) == (200, 405)


async def test_an_unknown_path_says_so_to_pages(session: ClientSession) -> None:
    """404 with its text, as for other clients."""
    async with session.get("/api/v2/none", headers={"Origin": "https://shop.example"}) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (404, "*")
