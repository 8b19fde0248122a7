"""Health routes of an application on a real port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client import CollectorRegistry

from collector.http.health import SharedChecks, add_health
from collector.http.server import Address, application, listen
from tests.support.waiting import until


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


class HeldCheck:
    """A check that waits until a test lets it answer."""

    def __init__(self) -> None:
        self.runs = 0
        self.may_answer = asyncio.Event()

    async def __call__(self) -> str | None:
        self.runs += 1
        await self.may_answer.wait()
        return f"run {self.runs}"


async def test_all_who_ask_meanwhile_share_one_run_of_the_checks() -> None:
    """Also when the one that began it is gone; the next who asks gets another run."""
    check = HeldCheck()
    checks = SharedChecks({"queue": check})
    async with asyncio.timeout(10):
        asking = [asyncio.create_task(checks.run()) for _ in range(3)]
        await until(lambda: check.runs == 1)
        asking[0].cancel()
        await until(lambda: check.runs == 2)
        check.may_answer.set()

        assert [await task for task in asking[1:]] == [{"queue": "run 2"}] * 2
        assert await checks.run() == {"queue": "run 3"}
