"""Health routes of an application on a real port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client import CollectorRegistry

from collector.http.health import add_health
from collector.http.server import Address, application, listen


@asynccontextmanager
async def reporting(wrong: str | None) -> AsyncIterator[str]:
    """The address of a server whose only check returns this."""

    async def queue() -> str | None:
        return wrong

    app = application()
    add_health(app, {"queue": queue}, CollectorRegistry())
    running = await listen(app, Address("127.0.0.1", 0))
    try:
        yield f"http://127.0.0.1:{running.port}"
    finally:
        await running.close()


async def ask(url: str) -> tuple[int, str, str | None]:
    """Status, text and Retry-After."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text(), answer.headers.get("Retry-After")


async def test_a_ready_process_is_healthy() -> None:
    """In one word on the official server's path, in detail on ours."""
    async with reporting(None) as url:
        assert await ask(url + "/health") == (200, "Healthy", None)
        assert await ask(url + "/health/ready") == (200, '{"status":"ready","checks":{"queue":"ok"}}', None)


async def test_a_process_that_is_not_ready_is_unhealthy_but_alive() -> None:
    """Both paths answer 503. A restart would not help."""
    async with reporting("it is full") as url:
        assert await ask(url + "/health") == (503, "Unhealthy", "5")
        assert (await ask(url + "/health/ready"))[0] == 503
        assert (await ask(url + "/health/live"))[0] == 200
