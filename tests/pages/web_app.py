"""The web app as a person uses it, and events for it to show."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import ClientSession
from playwright.async_api import Browser, Page, expect

from tests.end_to_end.running import RunningUp
from tests.pages.browser import DESKTOP, a_page
from tests.support.waiting import until
from tests.support.web_app import axe

_VIOLATIONS: Final = """async () => (await axe.run()).violations.map(
    (one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`)"""


@asynccontextmanager
async def logged_in(
    up: RunningUp,
    browser: Browser,
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
    zone: str | None = None,
) -> AsyncIterator[Page]:
    """A page of the first user; see `a_page`."""
    async with a_page(browser, up.ready.url, size, scheme, zone) as page:
        answer = await page.context.request.post(
            "/api/v2/auth/login?useCookies=true",
            data={"email": up.ready.email, "password": up.ready.password},
            headers={"Origin": up.ready.url},
        )
        assert answer.status == 204
        yield page


async def send(up: RunningUp, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """Post events, wait until they are stored, and return them as they are read back."""
    marked = [{"reference_id": f"web-{secrets.token_hex(6)}", **event} for event in events]
    async with ClientSession(up.ready.url) as session:
        sender = {"Authorization": f"Bearer {up.ready.client_token}"}
        async with session.post("/api/v2/events", json=marked, headers=sender) as answer:
            assert answer.status == 202
        return [await _stored(up, session, event["reference_id"]) for event in marked]


async def _stored(up: RunningUp, session: ClientSession, reference_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    reader = {"Authorization": f"Bearer {up.ready.user_token}"}

    async def is_found() -> bool:
        async with session.get(f"/api/v2/events/by-ref/{reference_id}", headers=reader) as answer:
            found[:] = await answer.json()
        return bool(found)

    await until(is_found, 30, f"the event {reference_id}")
    return found[0]


async def until_drawn(page: Page) -> None:
    """Return once nothing is loading any more."""
    await expect(page.locator("main")).to_have_count(1)
    await expect(page.locator(".bones, [aria-busy=true]")).to_have_count(0)


async def violations(page: Page) -> Sequence[str]:
    """What axe-core finds wrong with the page."""
    await page.evaluate(await asyncio.to_thread(axe))
    found: list[str] = await page.evaluate(_VIOLATIONS)
    return found


def an_error(message: str, **members: Any) -> dict[str, Any]:
    """An error of .NET with a cause, a request, an environment and data."""
    data = {
        "@error": {
            "type": "Shop.CheckoutException",
            "message": message,
            "stack_trace": [
                {
                    "declaring_namespace": "Shop",
                    "declaring_type": "Checkout",
                    "name": "Submit",
                    "file_name": "Checkout.cs",
                    "line_number": 87,
                },
                {"declaring_namespace": "System.Linq", "declaring_type": "Enumerable", "name": "Sum"},
                {"declaring_namespace": "System.Linq", "declaring_type": "Enumerable", "name": "Fold"},
            ],
            "inner": {
                "type": "System.NullReferenceException",
                "message": "Object reference not set",
                "stack_trace": [
                    {"declaring_namespace": "Shop", "declaring_type": "Vouchers", "name": "Apply"}
                ],
            },
        },
        "@request": {
            "http_method": "POST",
            "host": "shop.example",
            "path": "/checkout",
            "headers": {"A": "b"},
        },
        "@environment": {"machine_name": "shop-web-01", "o_s_name": "Linux", "total_physical_memory": 8e9},
        "@user": {"identity": "kasia@shop.example", "name": "Kasia"},
        "@version": "4.18.0",
        "order": {"number": 4711, "lines": [{"sku": "a"}, {"sku": "b"}]},
    }
    return {"type": "error", "message": message, "tags": ["checkout"], "data": data} | members
