"""The routes of the pages, without anything behind them."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from collector.api.pages.routes import add_pages
from collector.http.server import Address, application, listen

ANSWERS: dict[str, str | None] = {}


async def check() -> str | None:
    """What is wrong at the moment."""
    return ANSWERS.get("database")


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """A reader of pages on an application that has nothing else."""
    app = application()
    add_pages(app, {"openapi": "3.1.1"}, {"Events are read": {"database": check}})
    listener = await listen(app, Address("127.0.0.1", 0))
    async with ClientSession(f"http://127.0.0.1:{listener.port}") as session:
        yield session
    await listener.close()


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_lets_nothing_in_from_elsewhere(session: ClientSession, path: str) -> None:
    """Neither scripts nor frames; and it is asked for anew each time."""
    async with session.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()

    assert answer.content_type == "text/html"
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert "http://127.0.0.1" not in text or path == "/"


async def test_the_landing_page_shows_what_holds_now(
    session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while Postgres is gone: it needs nothing."""
    monkeypatch.setitem(ANSWERS, "database", "Postgres is unavailable")

    async with session.get("/") as answer:
        assert answer.status == 200
        assert "not now: database: Postgres is unavailable" in await answer.text()


async def test_the_document_is_there_packed_or_plain(session: ClientSession) -> None:
    """For browsers and for whoever does without compression; anybody's page may read it."""
    for encoding in ("gzip", "identity"):
        headers = {"Accept-Encoding": encoding, "Origin": "https://editor.example"}
        async with session.get("/docs/v2/openapi.json", headers=headers) as answer:
            assert await answer.json() == {"openapi": "3.1.1"}
            assert answer.headers["Access-Control-Allow-Origin"] == "https://editor.example"


async def test_a_slash_at_the_end_leads_to_the_page(session: ClientSession) -> None:
    """Its links are relative to where it is."""
    async with session.get("/docs/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "../docs")


@pytest.mark.parametrize("path", ["/docs/assets/none.js", "/docs/assets/..%2f..%2froutes.py", "/docs/v1"])
async def test_what_is_not_there_is_404(session: ClientSession, path: str) -> None:
    """As problem JSON, like everywhere."""
    async with session.get(path) as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
