"""The web app while something is wrong: no server, no database, an ended login, a slow network, large data.

The answers of the api are replaced in the browser: nothing has to be stopped for a page to meet an outage.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, Request, Route, expect

from tests.end_to_end.running import RunningUp
from tests.pages.browser import PHONE, a_page
from tests.pages.web_app import logged_in, until_drawn
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end

API = "**/api/v2/**"
NO_DATABASE = {
    "status": 503,
    "content_type": "application/problem+json",
    "headers": {"Retry-After": "2"},
    "json": {"title": "The database is unavailable right now; please try again.", "status": 503},
}
NO_SERVER = None


def an_answer(up: RunningUp, message: str) -> dict[str, Any]:
    """An event as the api returns it."""
    at = "2026-03-02T12:00:00Z"
    return {
        "id": "0" * 32,
        "organization_id": up.ready.organization_id,
        "project_id": up.ready.project_id,
        "is_first_occurrence": False,
        "created_utc": at,
        "date": at,
        "type": "error",
        "message": message,
    }


@asynccontextmanager
async def answering(page: Page, url: str, answer: dict[str, Any] | None) -> AsyncIterator[None]:
    """Inside the block the browser gets this answer, or none at all."""

    async def fulfill(route: Route) -> None:
        await (route.abort() if answer is None else route.fulfill(**answer))

    await page.route(url, fulfill)
    yield
    await page.unroute(url)


async def test_a_page_says_what_is_away_and_goes_on_by_itself(up: RunningUp, browser: Browser) -> None:
    """Both while it opens and while it is open; the filter that was typed stays."""
    async with logged_in(up, browser) as page:
        await page.clock.install()
        async with answering(page, API, NO_DATABASE):
            await page.goto("/events")
            await expect(page.get_by_role("alert")).to_contain_text("The database is unavailable right now")
        await page.clock.fast_forward(3000)
        filters = page.get_by_role("searchbox", name="Filter")
        await filters.fill("message:nothing-has-this")
        async with answering(page, API, NO_SERVER):
            await filters.press("Enter")
            alert = page.get_by_role("alert")
            await expect(alert).to_contain_text("The server does not answer. Trying again by itself")
            await expect(alert.get_by_role("button", name="Try now")).to_be_visible()
        await page.clock.fast_forward(3000)
        await expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
        await expect(alert).to_have_count(0)
        await expect(filters).to_have_value("message:nothing-has-this")


async def test_a_form_that_is_refused_says_so_and_keeps_what_was_typed(
    up: RunningUp, browser: Browser
) -> None:
    async with logged_in(up, browser) as page:
        await page.goto(f"/project/{up.ready.project_id}/keys")
        form = page.get_by_role("region", name="New key")
        notes = f"shop {secrets.token_hex(4)}"
        await form.get_by_label("Notes").fill(notes)
        async with answering(page, API, NO_SERVER):
            await form.get_by_role("button", name="Make a key").click()
            await expect(form.get_by_role("alert")).to_contain_text("it is not known whether this was done")
        await expect(form.get_by_label("Notes")).to_have_value(notes)
        await form.get_by_role("button", name="Make a key").click()
        await expect(form.get_by_role("alert")).to_have_count(0)

        keys = page.get_by_role("region", name="Keys")
        await keys.get_by_role("button", name=notes).click()
        await keys.get_by_role("textbox", name="Notes").fill("changed")
        async with answering(page, API, NO_DATABASE):
            await keys.get_by_role("button", name="Save").click()
            await expect(keys.get_by_role("alert")).to_contain_text("The database is unavailable right now")
        await expect(keys.get_by_role("textbox", name="Notes")).to_have_value("changed")


async def test_an_ended_login_leads_to_the_login_page_and_back_to_the_same_place(
    up: RunningUp, browser: Browser
) -> None:
    place = f"/events?project={up.ready.project_id}&filter={quote('type:log')}&time=all"
    async with a_page(browser, up.ready.url) as page:
        await page.goto(place)
        await expect(page).to_have_url(re.compile(r"/login\?next="))
        await page.get_by_role("textbox", name="Email").fill(up.ready.email)
        await page.get_by_role("textbox", name="Password").fill(up.ready.password)
        async with answering(page, "**/api/v2/auth/login*", NO_DATABASE):
            await page.get_by_role("button", name="Log in").click()
            await expect(page.get_by_role("alert")).to_contain_text("The database is unavailable")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("searchbox", name="Filter")).to_have_value("type:log")
        assert page.url.endswith(place)


async def test_a_slow_network_is_shown_and_nothing_is_sent_twice(up: RunningUp, browser: Browser) -> None:
    """The answers wait until the test lets them go on."""
    async with logged_in(up, browser) as page:
        held: list[Route] = []

        async def hold(route: Route) -> None:
            held.append(route)

        await page.route("**/tokens?limit=*", hold)
        async with page.expect_request("**/tokens?limit=*"):
            await page.goto(f"/project/{up.ready.project_id}/keys")
        await expect(page.get_by_role("status", name="Loading")).to_be_visible()
        await expect(page.locator(".progress")).to_be_attached()
        await held.pop().continue_()
        await page.unroute("**/tokens?limit=*")
        await until_drawn(page)
        await expect(page.locator(".progress")).to_have_count(0)

        await page.route("**/tokens", hold)
        notes = page.get_by_role("region", name="New key").get_by_label("Notes")
        name = f"once {secrets.token_hex(4)}"
        await notes.fill(name)
        for _ in range(3):
            await notes.press("Enter")
        await expect(page.locator("form[aria-busy=true]")).to_have_count(1)
        assert len(held) == 1
        await held.pop().continue_()
        await expect(page.get_by_text("This is the key.")).to_be_visible()

        await page.route("**/tokens/*", hold)
        await page.get_by_role("row", name=name).get_by_role("button", name="Disable").dblclick()
        await expect(page.locator(".button[aria-busy=true]")).to_have_count(1)
        assert len(held) == 1
        await held.pop().continue_()
        await expect(page.get_by_text("The key is refused now.")).to_be_visible()


async def test_an_event_of_two_megabytes_is_shown(up: RunningUp, browser: Browser) -> None:
    """Its message, a trace without line ends, 10,000 frames and 20,000 members; nothing sticks out."""
    event = an_answer(up, "m" * 200_000)
    event["data"] = {
        "@error": {
            "type": "Large",
            "message": "\u202e" + "ש" * 200_000,
            "stack_trace": [{"name": f"f{number}", "file_name": "x" * 50} for number in range(10_000)],
            "inner": {"type": "Cause", "stack_trace": "at " + "y" * 500_000},
        },
        "members": {f"member{number}": number for number in range(20_000)},
        "long": "z" * 500_000,
    }
    async with logged_in(up, browser, PHONE) as page:
        await page.route(f"**/api/v2/events/{event['id']}", lambda route: route.fulfill(json=event))
        await page.goto(f"/event/{event['id']}")
        for name in ("Large", "Cause"):
            await expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        tabs = page.get_by_role("navigation", name="Parts of the event")
        for tab in ["Exception", "Extended data", "JSON"]:
            await tabs.get_by_role("link", name=tab, exact=True).click()
            await expect(page.get_by_role("region", name=tab)).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert await page.evaluate("document.getElementsByTagName('*').length") < 3000


async def test_a_search_that_was_stopped_says_so_and_goes_on(up: RunningUp, browser: Browser) -> None:
    """An empty page of it does not claim that nothing matches, and estimates are not shown as counts."""
    rest = {
        "X-Headrace-Partial": "../2026-03-02T12:00:00Z",
        "Link": f'<{up.ready.url}/api/v2/events?after=next-part>; rel="next"',
    }
    estimate = {"total": 4000, "aggregations": {}, "is_estimated": True}
    async with logged_in(up, browser) as page:
        await page.route("**/events/count?*", lambda route: route.fulfill(json=estimate))
        async with answering(page, "**/api/v2/events?*", {"json": [], "headers": rest}):
            await page.goto("/events")
            await expect(page.get_by_role("heading", name="Nothing found so far")).to_be_visible()
            await expect(page.get_by_text("about 4,000 events", exact=True)).to_be_visible()
            await page.get_by_role("link", name="Older").click()
            await expect(page).to_have_url(re.compile("after=next-part"))


async def test_an_answer_that_the_page_does_not_know_leaves_the_app_usable(
    up: RunningUp, browser: Browser
) -> None:
    """As after an upgrade, while a page is open."""
    event = an_answer(up, "From the future") | {"tags": {"length": 1}}
    async with logged_in(up, browser) as page:
        async with answering(page, f"**/api/v2/events/{event['id']}", {"json": event}):
            await page.goto(f"/event/{event['id']}")
            await expect(page.get_by_role("heading", name="This page cannot be shown")).to_be_visible()
            await expect(page.get_by_role("button", name="Load it again")).to_be_visible()
        await page.keyboard.press("g")
        await page.keyboard.press("s")
        await expect(page.get_by_role("searchbox", name="Filter")).to_be_visible()


async def test_many_tabs_share_one_stream_and_a_person_has_at_most_four(
    up: RunningUp, browser: Browser
) -> None:
    """Beyond that a page says that it asks every ten seconds, and becomes live as soon as it can."""
    async with logged_in(up, browser) as page:
        streams: list[str] = []

        def note(request: Request) -> None:
            if request.url.endswith("/events/stream"):
                streams.append(request.url)

        page.context.on("request", note)
        await page.goto("/stream")
        other = await page.context.new_page()
        await other.goto("/stream")
        for one in (page, other):
            await expect(one.get_by_text("Live", exact=True)).to_be_visible()
        assert len(streams) == 1
        # The last of the tabs that share it is closed, and other windows have all that the person may have.
        await page.goto("/account")
        await other.goto("/account")
        project = f"/api/v2/projects/{up.ready.project_id}/events/stream"
        await other.evaluate(
            "(path) => Promise.all(Array.from({length: 4}, () => new Promise((done) => {"
            "const one = new EventSource(path); one.onopen = done; (window.streams ??= []).push(one); })))",
            project,
        )
        await page.clock.install()
        await page.goto("/stream")
        await expect(page.get_by_text("Every 10 s", exact=True)).to_be_visible()
        await expect(page.get_by_text("One person can have four at a time")).to_be_visible()
        await other.close()

        async def is_live() -> bool:
            # The server may not have noticed yet that the other window is gone.
            async with page.expect_response("**/events/stream") as response:
                await page.clock.fast_forward(16_000)
            return (await response.value).status == 200

        await until(is_live, 10, "a live stream")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
