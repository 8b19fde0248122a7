"""Chromium from the machine's own packages, or a reason to skip."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")

expect.set_options(timeout=20_000)  # a password alone is hashed for seconds on a busy machine

DESKTOP: Final = (1280, 900)
PHONE: Final = (400, 850)


def chromium() -> str:
    """The path of Chromium. Without it the test is skipped; in CI it fails."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is not None:
        return found
    reason = "there is no Chromium; `.ci/run` installs it with apt"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """A headless browser."""
    path = chromium()
    async with async_playwright() as playwright:
        # The sandbox does not work as root or in containers; only our own pages are opened.
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def a_page(
    browser: Browser,
    url: str,
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
    zone: str | None = None,
) -> AsyncIterator[Page]:
    """A page that must load without errors, policy violations or requests to other hosts."""
    complaints: list[str] = []
    context = await browser.new_context(
        base_url=url,
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id=zone,
    )
    context.set_default_timeout(30_000)  # a click on the API page takes 3 s of an idle core
    try:
        page = await context.new_page()
        page.on("console", lambda message: _note(complaints, message.type, message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _note_stranger(complaints, request.url, url))
        yield page
    finally:
        await context.close()
    assert complaints == []


def _note(complaints: list[str], kind: str, text: str) -> None:
    # A 401 or 404 is also logged to the console; tests check what the page shows of it.
    if kind in {"error", "warning"} and not text.startswith("Failed to load resource"):
        complaints.append(text)


def _note_stranger(complaints: list[str], asked: str, url: str) -> None:
    if not asked.startswith((url, "data:", "blob:")):
        complaints.append(f"asked {asked}")
