"""The API page, from logging in to revoking a token, as the documentation describes it."""

import json
import secrets
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import Browser, expect

from tests.end_to_end.running import RunningUp
from tests.pages.api_page import ApiPage
from tests.pages.browser import DESKTOP, PHONE, a_page
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end


async def test_the_whole_tutorial_can_be_done_on_the_page(up: RunningUp, browser: Browser) -> None:
    """From the landing page on, by what the page shows."""
    ready, reference_id = up.ready, f"page-{secrets.token_hex(4)}"
    async with a_page(browser, ready.url) as page:
        await page.goto("/")
        await page.get_by_role("link", name="API Documentation").click()
        api = ApiPage(page)

        login = {"email": ready.email, "password": ready.password}
        status, answer = await api.execute("POST", "/api/v2/auth/login", login)
        assert status == 200
        await api.authorize("Bearer", answer["token"])

        wanted = {"scopes": ["user"], "notes": "made on the page"}
        of_project = {"projectId": ready.project_id}
        status, made = await api.execute("POST", "/api/v2/projects/{projectId}/tokens", wanted, **of_project)
        assert (status, made["scopes"], made["notes"]) == (201, ["user", "client"], "made on the page")
        await api.authorize("Bearer", made["id"])

        event = {"type": "log", "message": "Hello", "reference_id": reference_id}
        assert await api.execute("POST", "/api/v2/events", event) == (202, None)
        by_reference = "/api/v2/events/by-ref/{referenceId}"
        await until_found(api, by_reference, referenceId=reference_id)
        await until_found(api, "/api/v2/events", filter=f"reference:{reference_id}")

        status, organizations = await api.execute("GET", "/api/v2/organizations")
        assert (status, [one["id"] for one in organizations]) == (200, [ready.organization_id])
        status, projects = await api.execute("GET", "/api/v2/projects")
        assert (status, [one["id"] for one in projects]) == (200, [ready.project_id])

        await api.authorize("Token", made["id"])
        async with page.expect_request(f"**/projects?access_token={made['id']}") as asked:
            assert (await api.execute("GET", "/api/v2/projects"))[0] == 200
        assert "authorization" not in (await asked.value).headers

        await api.authorize("Bearer", answer["token"])
        revoked = await api.execute("DELETE", "/api/v2/tokens/{ids}", ids=made["id"])
        assert revoked == (202, {"workers": []})
        await api.authorize("Bearer", made["id"])
        assert (await api.execute("GET", by_reference, referenceId=reference_id))[0] == 401


async def test_the_examples_work_without_changes(up: RunningUp, browser: Browser) -> None:
    """With the suggested login, twice, and nothing filled in."""
    ready = up.ready
    async with a_page(browser, ready.url) as page:
        await page.goto("/docs")
        api = ApiPage(page)
        login = {"email": ready.email, "password": ready.password}
        _, answer = await api.execute("POST", "/api/v2/auth/login", login)
        await api.authorize("Bearer", answer["token"])

        ids = []
        for _ in range(2):
            assert await api.execute("POST", "/api/v2/events") == (202, None)
            ids.append(json.loads(await api.body("POST", "/api/v2/events"))["reference_id"])
        of_project = "/api/v2/projects/{projectId}/events"
        assert await api.execute("POST", of_project, projectId=ready.project_id) == (202, None)
        ids.append(json.loads(await api.body("POST", of_project))["reference_id"])

        assert len(set(ids)) == 3
    async with ClientSession() as session:
        for reference_id in ids:
            await up.until_found(session, reference_id)


async def test_the_example_works_with_a_token_of_a_project(up: RunningUp, browser: Browser) -> None:
    """The project need not be filled in."""
    async with a_page(browser, up.ready.url) as page:
        await page.goto("/docs")
        api = ApiPage(page)
        await api.authorize("Bearer", up.ready.client_token)
        async with page.expect_request(f"{up.ready.url}/api/v2/events"):
            assert await api.execute("POST", "/api/v2/events") == (202, None)


async def until_found(api: ApiPage, path: str, **parameters: str) -> None:
    """Execute it until the worker has stored the event."""
    found: list[Any] = []

    async def is_found() -> bool:
        status, found[:] = await api.execute("GET", path, **parameters)
        assert status == 200
        return bool(found)

    await until(is_found, 20, "the event")
    assert [event["message"] for event in found] == ["Hello"]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [pytest.param(DESKTOP, "light", id="desktop"), pytest.param(PHONE, "dark", id="phone, dark")],
)
async def test_the_page_fits_every_screen(
    up: RunningUp, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    """Nothing overflows, and every operation of the document is shown."""
    async with a_page(browser, up.ready.url, size, scheme) as page:
        await page.goto("/docs")
        operations = await page.evaluate(
            "fetch('docs/v2/openapi.json').then(a => a.json()).then("
            "d => Object.values(d.paths).flatMap(p => Object.keys(p)).length)"
        )

        await expect(page.locator(".opblock")).to_have_count(operations)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate("document.documentElement.matches('.dark-mode')") == (scheme == "dark")


@pytest.mark.parametrize(
    "size", [pytest.param(PHONE, id="phone"), pytest.param((740, 400), id="phone, on its side")]
)
async def test_the_dialog_begins_with_the_bearer_token(
    up: RunningUp, browser: Browser, size: tuple[int, int]
) -> None:
    """Its field is visible and focused."""
    async with a_page(browser, up.ready.url, size) as page:
        await page.goto("/docs")
        await page.locator(".auth-wrapper .btn.authorize").click()

        bearer = page.locator("#auth-bearer-value")
        await expect(bearer).to_be_focused()
        await expect(bearer).to_be_in_viewport(ratio=1)
        await expect(page.locator(".modal-ux h3")).to_be_in_viewport(ratio=1)


async def test_a_reopened_dialog_begins_with_the_given_authorization(up: RunningUp, browser: Browser) -> None:
    """So that it can be removed."""
    async with a_page(browser, up.ready.url, PHONE) as page:
        await page.goto("/docs")
        await ApiPage(page).authorize("Bearer", up.ready.user_token)
        await page.locator(".auth-wrapper .btn.authorize").click()

        given = page.get_by_role("button", name="Remove authorization")
        await expect(given).to_be_focused()
        await expect(given).to_be_in_viewport(ratio=1)
