"""`make bench-pages`: what the web app costs and how fast it is, in Chromium, beside a running collector.

- `lists`: how long the first list after a log-in takes, and `/stacks`.
- `stream`: events are posted while `/stream` is open: the page's share of a core, its answer to a key.
- `drain`: workers empty a queue that was filled while they were stopped, without and with an open stream.
"""

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import orjson
from aiohttp import ClientSession
from playwright.async_api import Browser, BrowserContext, async_playwright

from collector.embedded.ready_file import ReadyFile

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_IN_A_POST: Final = 100
_KEY_PRESSES: Final = 20
_LISTEN: Final = """() => {
    const once = { once: true, capture: true };
    const pressed = new Promise(
        (done) => addEventListener("keydown", (event) => done(event.timeStamp), once));
    const moved = new Promise((done) => document.addEventListener(
        "focusin", () => requestAnimationFrame(() => setTimeout(() => done(performance.now()))), once));
    window.answer = Promise.all([pressed, moved]).then(([from, until]) => until - from);
}"""
"""Milliseconds from the key that opens the list of keys, as the browser received it, to the next frame."""


async def main(words: Sequence[str] | None = None) -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="make bench-pages", description=__doc__)
    parser.add_argument("what", choices=("lists", "stream", "drain"))
    parser.add_argument("--ready", type=Path, default=Path(".headrace/ready.json"))
    parser.add_argument("--rate", type=int, default=5000, help="events a second (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="how long (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement (%(default)s)")
    arguments = parser.parse_args(words)
    ready = msgspec.json.decode(arguments.ready.read_bytes(), type=ReadyFile)
    match arguments.what:
        case "lists":
            await measure_lists(ready, arguments.repeats)
        case "stream":
            await measure_stream(ready, arguments.rate, arguments.seconds)
        case "drain":
            await measure_drain(ready, arguments.repeats, arguments.rate * 40)


async def measure_lists(ready: ReadyFile, repeats: int) -> None:
    """Print the milliseconds until the first rows are there, by page: median and greatest."""
    taken: dict[str, list[float]] = {}
    async with _browser() as browser:
        for _ in range(repeats):
            context = await browser.new_context(base_url=ready.url, viewport={"width": 1280, "height": 900})
            page = await context.new_page()
            await page.goto("/login?next=%2Fevents")
            await page.get_by_role("textbox", name="Email").fill(ready.email)
            await page.get_by_role("textbox", name="Password").fill(ready.password)
            row = page.locator("[data-row]").first
            began = time.perf_counter()
            await page.get_by_role("button", name="Log in").click()
            await row.wait_for()
            taken.setdefault("first list after the log-in, password included", []).append(
                time.perf_counter() - began
            )
            for path in ("/events", "/stacks", "/stacks?time=last+30+days", "/sessions"):
                began = time.perf_counter()
                await page.goto(path, wait_until="commit")
                await row.wait_for()
                taken.setdefault(path, []).append(time.perf_counter() - began)
                if path.startswith("/stacks"):
                    await page.locator(".four .num", has_text="…").first.wait_for(state="detached")
                    taken.setdefault(f"{path}, with its numbers", []).append(time.perf_counter() - began)
            await context.close()
    for name, seconds in taken.items():
        print(f"{name}: {statistics.median(seconds) * 1000:.0f} ms, at most {max(seconds) * 1000:.0f} ms")


async def measure_stream(ready: ReadyFile, rate: int, seconds: int) -> None:
    """Print the page's share of a core and its answers to a key while events arrive."""
    async with _browser() as browser, ClientSession(ready.url) as session:
        page = await (await _logged_in(browser, ready)).new_page()
        await page.goto("/stream")
        await page.get_by_text("Live", exact=True).wait_for()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/events?" in request.url else None)
        processes = await browser.new_browser_cdp_session()
        posting = asyncio.create_task(_post(session, ready, rate, seconds))
        before, began = await _renderer_seconds(processes), time.perf_counter()
        answers: list[float] = []
        for press in range(_KEY_PRESSES):
            await asyncio.sleep(
                max(0.0, began + seconds * (press + 1) / (_KEY_PRESSES + 1) - time.perf_counter())
            )
            await page.evaluate(_LISTEN)
            # A key that leaves the page at its top, where it follows.
            await page.keyboard.press("?")
            answers.append(await page.evaluate("window.answer"))
            await page.keyboard.press("Escape")
        sent = await posting
        wall = time.perf_counter() - began
        share = (await _renderer_seconds(processes) - before) / wall
        rows = await page.locator("[data-row]").count()
    print(
        f"{sent / wall:,.0f} events a second for {wall:.0f} s; {len(asked)} lists fetched, {rows} rows shown"
    )
    print(f"share of a core: {share:.1%}")
    print(f"answer to a key: median {statistics.median(answers):.0f} ms, at most {max(answers):.0f} ms")


async def measure_drain(ready: ReadyFile, repeats: int, events: int) -> None:
    """Print the ratio of the drain's speed with an open stream to that without, as a median of pairs."""
    ratios = []
    async with ClientSession(ready.url) as session:
        await _drain(session, ready, events)
        for number in range(repeats):
            speeds: dict[bool, float] = {}
            # The order changes, so that growing tables are on neither side.
            for is_open in (number % 2 == 0, number % 2 == 1):
                if is_open:
                    async with _following(session, ready):
                        speeds[is_open] = await _drain(session, ready, events)
                else:
                    speeds[is_open] = await _drain(session, ready, events)
            ratios.append(speeds[True] / speeds[False])
            print(f"{speeds[False]:,.0f} events a second without, {speeds[True]:,.0f} with: {ratios[-1]:.3f}")
    print(f"with an open stream: {statistics.median(ratios):.3f} of itself")


async def _drain(session: ClientSession, ready: ReadyFile, events: int) -> float:
    """Events a second of the workers, from a queue that was filled while they were stopped."""
    connection = await asyncpg.connect(ready.database_url)
    try:
        workers = ready.pids["worker"]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            goal = await _processed(connection) + events
            sent = [_send(session, ready, number) for number in range(events // _IN_A_POST)]
            await asyncio.gather(*sent)
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        began = time.perf_counter()
        while await _processed(connection) < goal:  # noqa: ASYNC110 - only the table knows
            await asyncio.sleep(0.02)
        return events / (time.perf_counter() - began)
    finally:
        await connection.close()


async def _processed(connection: asyncpg.Connection) -> int:
    number: int = await connection.fetchval("SELECT coalesce(sum(events), 0)::bigint FROM processed")
    return number


@asynccontextmanager
async def _following(session: ClientSession, ready: ReadyFile) -> AsyncIterator[None]:
    """Do what an open stream does: read what is counted, and fetch the list at most once a second."""
    headers = {"Authorization": f"Bearer {ready.user_token}"}

    async def follow() -> None:
        async with session.get("/api/v2/events/stream", headers=headers) as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    path = "/api/v2/events?mode=summary&limit=50&time=all"
                    async with session.get(path, headers=headers) as answer:
                        await answer.read()
                    await asyncio.sleep(1)

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _post(session: ClientSession, ready: ReadyFile, rate: int, seconds: int) -> int:
    """Post at this rate; returns how many events were accepted."""
    began, sent = time.perf_counter(), 0
    posts = rate * seconds // _IN_A_POST
    for number in range(posts):
        await asyncio.sleep(max(0.0, began + number * _IN_A_POST / rate - time.perf_counter()))
        sent += await _send(session, ready, number)
    return sent


async def _send(session: ClientSession, ready: ReadyFile, number: int) -> int:
    body = orjson.dumps(
        [
            {
                "type": "log",
                "message": f"Order {number * _IN_A_POST + each} was paid",
                "source": f"Shop.{each % 20}",
            }
            for each in range(_IN_A_POST)
        ]
    )
    headers = {"Authorization": f"Bearer {ready.client_token}", "Content-Type": "application/json"}
    async with session.post("/api/v2/events", data=body, headers=headers) as answer:
        return _IN_A_POST if answer.status == 202 else 0  # noqa: PLR2004 - a status


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        sys.exit("There is no Chromium; `.ci/run` installs it with apt.")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def _logged_in(browser: Browser, ready: ReadyFile) -> BrowserContext:
    context = await browser.new_context(base_url=ready.url, viewport={"width": 1280, "height": 900})
    await context.request.post(
        "/api/v2/auth/login?useCookies=true",
        data={"email": ready.email, "password": ready.password},
        headers={"Origin": ready.url},
    )
    return context


async def _renderer_seconds(processes: Any) -> float:
    """Processor time that the renderers have used."""
    found = await processes.send("SystemInfo.getProcessInfo")
    seconds: float = sum(each["cpuTime"] for each in found["processInfo"] if each["type"] == "renderer")
    return seconds


if __name__ == "__main__":
    asyncio.run(main())
