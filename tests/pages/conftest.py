"""One collector and one browser for all of these tests."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.end_to_end.running import RunningUp, started_up
from tests.pages.browser import a_browser


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
async def up(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningUp]:
    """A collector, if there is a browser."""
    assert browser.is_connected()
    async with started_up(tmp_path_factory.mktemp("pages") / "data") as up:
        await up.until_ready()
        yield up
