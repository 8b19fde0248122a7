"""Times are right in another zone, over a change to summer time, and where a clock is wrong."""

import re
import secrets
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.end_to_end.running import RunningUp
from tests.pages.web_app import logged_in, send, until_drawn
from tests.support.real_clock import real_now

pytestmark = pytest.mark.end_to_end


async def _labels(page: Page) -> list[str]:
    """The labels below the chart."""
    texts: list[str] = await page.locator(".chart svg text:not([text-anchor])").all_text_contents()
    return texts


@pytest.mark.parametrize(
    ("zone", "time", "days"),
    [
        pytest.param(
            "Europe/Berlin",
            "2026-03-26T23:00:00Z-2026-04-02T22:00:00Z",
            ["Fri 27", "Sat 28", "Sun 29", "Mon 30", "Tue 31", "Wed 1", "Thu 2"],
            id="an hour less",
        ),
        pytest.param(
            "America/New_York",
            "2026-10-29T04:00:00Z-2026-11-05T05:00:00Z",
            ["Thu 29", "Fri 30", "Sat 31", "Sun 1", "Mon 2", "Tue 3", "Wed 4"],
            id="an hour more",
        ),
        pytest.param(
            "Asia/Kolkata",
            "2026-03-26T18:30:00Z-2026-03-29T18:30:00Z",
            ["Fri 27", "Sat 28", "Sun 29"],
            id="half an hour off",
        ),
    ],
)
async def test_a_chart_names_each_day_once(
    up: RunningUp, browser: Browser, zone: str, time: str, days: list[str]
) -> None:
    """From midnight to midnight of the reader, also where a day has 23 or 25 hours."""
    async with logged_in(up, browser, zone=zone) as page:
        await page.goto(f"/events?time={time}")
        await until_drawn(page)

        assert await _labels(page) == days


async def test_bars_of_whole_days_keep_their_day_over_a_change(up: RunningUp, browser: Browser) -> None:
    """The server counts by the offset of today: before the change its days begin an hour earlier or later."""
    async with logged_in(up, browser, zone="Europe/Berlin") as page:
        midnight = 0 if "+2" in await page.evaluate("new Date().toString()") else 1
        await page.route("**/events/count?*", lambda route: _count_of_days(route, midnight))
        await page.goto("/events?time=2026-03-01T00:00:00Z-2026-05-20T00:00:00Z")
        await until_drawn(page)

        labels = await _labels(page)

    assert labels[0] in {"28 Feb", "1 Mar"}
    assert len(labels) == len(set(labels)) >= 6
    assert "11 Mar" in labels or "10 Mar" in labels


async def _count_of_days(route: Route, hours: int) -> None:
    """Buckets of 24 hours that begin at a midnight of one offset."""
    first = 1_772_319_600_000 + hours * 3_600_000
    items = [
        {"key": first + day * 86_400_000, "key_as_string": "", "total": 1, "aggregations": {}}
        for day in range(79)
    ]
    answer = await route.fetch()
    body = await answer.json()
    body["aggregations"]["date_date"] = {"items": items}
    await route.fulfill(response=answer, json=body)


async def test_ages_and_local_times_are_right_in_another_zone(up: RunningUp, browser: Browser) -> None:
    """And when the zone changes while the page is open."""
    date = real_now() - timedelta(hours=3, minutes=10)
    message = f"Three hours ago {secrets.token_hex(4)}"
    [event] = await send(up, {"type": "log", "message": message, "date": date.isoformat()})
    async with logged_in(up, browser) as page:
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setTimezoneOverride", {"timezoneId": "Pacific/Auckland"})
        await page.goto(f"/events?filter=reference:{event['reference_id']}")
        age = page.get_by_role("row", name=re.compile(message)).locator("td.n time")
        await expect(age).to_have_text("3 h")
        there = await page.evaluate("(at) => new Date(at).getHours()", event["date"])
        assert there == (date + timedelta(hours=13)).hour or there == (date + timedelta(hours=12)).hour
        await expect(age).to_have_attribute("title", re.compile(rf"{there:02}:\d\d:\d\d, Pacific/Auckland"))

        await session.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        hour = (date + timedelta(hours=9)).hour
        await expect(age).to_have_attribute("title", re.compile(rf"{hour:02}:\d\d:\d\d, Asia/Tokyo"))


async def test_a_wrong_clock_is_said_and_ages_follow_the_server(up: RunningUp, browser: Browser) -> None:
    """Relative times also move on while a page is open."""
    message = f"Just now {secrets.token_hex(4)}"
    [event] = await send(up, {"type": "log", "message": message})
    async with logged_in(up, browser) as page:
        await page.clock.install(time=real_now() + timedelta(hours=2, minutes=1))
        await page.goto(f"/events?filter=reference:{event['reference_id']}")
        await expect(
            page.get_by_text("The clock of this device is 2 h ahead of that of the server.")
        ).to_be_visible()
        age = page.get_by_role("row", name=re.compile(message)).locator("td.n time")
        await expect(age).to_have_text(re.compile(r"^(now|\d+ s|1 min)$"))
        await page.clock.fast_forward(600_000)
        await expect(age).to_have_text(re.compile(r"^1\d min$"))
