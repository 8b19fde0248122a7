"""The landing page: it is readable, and its examples work."""

import asyncio
import sys

import pytest
from aiohttp import ClientSession
from playwright.async_api import Browser, Page, expect

from tests.end_to_end.running import RunningUp
from tests.pages.browser import DESKTOP, PHONE, a_page

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_the_page_fits_every_screen_and_is_readable(
    up: RunningUp, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    """Only code scrolls sideways. The contrast of every text is 4.5 to 1, as WCAG AA requires."""
    async with a_page(browser, up.ready.url, size, scheme) as page:
        await page.goto("/")

        await expect(page.get_by_role("list").get_by_text("yes")).to_have_count(2)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate(CONTRASTS) == []


async def test_the_keyboard_reaches_everything(up: RunningUp, browser: Browser) -> None:
    """In reading order: the links, then each piece of code and its button."""
    async with a_page(browser, up.ready.url) as page:
        await page.goto("/")
        reached = []
        for _ in range(7):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.innerText.split('\\n')[0]"))

        assert reached[:3] == ["Skip to sending an event", "Log in", "API Documentation"]
        assert reached[3:5] == ["OpenAPI document", "Health"]
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.matches('button')")


async def test_a_button_copies_the_code_next_to_it(up: RunningUp, browser: Browser) -> None:
    """And confirms it."""
    async with a_page(browser, up.ready.url) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.goto("/")
        await page.get_by_role("button", name="Copy: .NET").click()

        await expect(page.get_by_role("status")).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == await code(page, "net")


async def test_the_page_is_complete_without_javascript(up: RunningUp, browser: Browser) -> None:
    """Only the copy buttons are missing."""
    context = await browser.new_context(base_url=up.ready.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto("/")

    assert up.ready.url in await code(page, "curl")
    assert await page.get_by_role("button").count() == 0
    await page.get_by_role("link", name="API Documentation").click()
    await expect(page.get_by_role("link", name="OpenAPI document")).to_be_visible()
    await context.close()


@pytest.mark.parametrize(
    ("language", "command"),
    [
        pytest.param("curl", ["sh", "-c"], id="curl"),
        pytest.param("python", [sys.executable, "-c"], id="Python"),
        pytest.param("error", [sys.executable, "-c"], id="an error"),
    ],
)
async def test_the_examples_work_without_changes(
    up: RunningUp, browser: Browser, language: str, command: list[str]
) -> None:
    """With a token filled in."""
    async with a_page(browser, up.ready.url) as page:
        await page.goto("/")
        written = (await code(page, language)).replace("YOUR_TOKEN", up.ready.client_token)

    process = await asyncio.create_subprocess_exec(
        *command, written, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert "202" in output.decode().partition("\n")[0]


async def test_an_invalid_host_is_not_repeated(up: RunningUp) -> None:
    """No part of the Host header gets into the page."""
    odd = 'x"><script>alert(1)</script>'
    async with ClientSession() as session, session.get(up.ready.url, headers={"Host": odd}) as answer:
        text = await answer.text()

    assert answer.status == 200
    assert "alert(1)" not in text
    assert "https://headrace.example.com/api/v2/events" in text


async def code(page: Page, language: str) -> str:
    """The code under a heading."""
    return await page.locator(f"pre[aria-labelledby={language}]").inner_text()


CONTRASTS = """() => {
  const curve = (part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const channel = (value) => curve(value / 255);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || element.closest("script")) continue;
    const two = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    if ((two[0] + 0.05) / (two[1] + 0.05) < 4.5) poor.push(walk.currentNode.textContent.trim());
  }
  return poor;
}"""
"""The texts with too little contrast, by the formula of WCAG 2."""
