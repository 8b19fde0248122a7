"""The routes of the pages, without servers behind them."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from collector.api.pages.routes import add_pages
from collector.http.server import Address, application, listen

ANSWERS: dict[str, str | None] = {}


async def check() -> str | None:
    """The readiness check, with the current problems."""
    return ANSWERS.get("database")


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """A client of an application with the pages only."""
    app = application()
    add_pages(app, {"openapi": "3.1.1"}, {"Events are read": {"database": check}})
    listener = await listen(app, Address("127.0.0.1", 0))
    async with ClientSession(f"http://127.0.0.1:{listener.port}") as session:
        yield session
    await listener.close()


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_allows_no_foreign_content(session: ClientSession, path: str) -> None:
    """Neither scripts nor frames. Browsers revalidate it each time."""
    async with session.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()

    assert answer.content_type == "text/html"
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert "http://127.0.0.1" not in text or path == "/"


async def test_the_landing_page_shows_the_current_state(
    session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while Postgres is down: the page needs no server."""
    monkeypatch.setitem(ANSWERS, "database", "Postgres is unavailable")

    async with session.get("/") as answer:
        assert answer.status == 200
        assert "not now: database: Postgres is unavailable" in await answer.text()


async def test_the_document_is_served_compressed_or_plain(session: ClientSession) -> None:
    """Pages of any origin may read it."""
    for encoding in ("gzip", "identity"):
        headers = {"Accept-Encoding": encoding, "Origin": "https://editor.example"}
        async with session.get("/docs/v2/openapi.json", headers=headers) as answer:
            assert await answer.json() == {"openapi": "3.1.1"}
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_trailing_slash_redirects_to_the_page(session: ClientSession) -> None:
    """The page's links are relative."""
    async with session.get("/docs/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "../docs")


@pytest.mark.parametrize("path", ["/docs/assets/none.js", "/docs/assets/..%2f..%2froutes.py", "/docs/v1"])
async def test_an_unknown_path_is_404(session: ClientSession, path: str) -> None:
    """As problem JSON."""
    async with session.get(path) as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
