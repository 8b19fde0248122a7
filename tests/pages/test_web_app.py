"""The web app in Chromium: by mouse, by keyboard and on a phone; and what hostile events can do to it."""

import json
import re
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import Browser, Page, Route, expect

from tests.conftest import SCALE
from tests.end_to_end.running import RunningUp, started_up
from tests.pages.browser import DESKTOP, PHONE, a_page
from tests.pages.web_app import an_error, logged_in, send, until_drawn, violations
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end

ONLY_NIGHTLY = pytest.mark.skipif(SCALE == 1, reason="`make nightly` looks at the other two of the four, too")
EVERYWHERE = pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(DESKTOP, "light", id="desktop"),
        pytest.param(PHONE, "dark", id="phone, dark"),
        pytest.param(DESKTOP, "dark", id="desktop, dark", marks=ONLY_NIGHTLY),
        pytest.param(PHONE, "light", id="phone", marks=ONLY_NIGHTLY),
    ],
)


async def test_a_person_finds_an_error_and_copies_its_trace(up: RunningUp, browser: Browser) -> None:
    """Logs in, sees the stack, opens it and its latest event, and logs out."""
    message = f"Voucher {secrets.token_hex(4)} was not applied"
    await send(up, an_error(message))
    async with a_page(browser, up.ready.url) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.goto("/")
        await page.get_by_role("link", name="Log in").click()
        await page.get_by_role("textbox", name="Email").fill(up.ready.email)
        await page.get_by_role("textbox", name="Password").fill(up.ready.password)
        await page.get_by_role("button", name="Log in").click()
        await expect(page).to_have_url(re.compile("/stacks$"))

        filters = page.get_by_role("searchbox", name="Filter")
        await filters.fill(f'message:"{message}"')
        await filters.press("Enter")
        await page.get_by_role("link", name="NullReferenceException").click()
        await expect(page).to_have_url(re.compile("/stack/"))
        await page.get_by_role("link", name="Open event").click()
        await expect(page.get_by_role("heading", name=message)).to_be_visible()
        await page.get_by_role("button", name="Copy stack trace").click()

        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.splitlines()[0] == f"Shop.CheckoutException: {message}"
        assert "   at Shop.Checkout.Submit in Checkout.cs:87" in copied
        assert "Caused by: System.NullReferenceException: Object reference not set" in copied

        await page.get_by_label("Account: Admin").click()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", name="Log in to Headrace")).to_be_visible()
        await page.goto("/stacks")
        await expect(page.get_by_role("button", name="Log in")).to_be_visible()


async def test_a_wrong_password_is_said_and_nothing_typed_is_lost(up: RunningUp, browser: Browser) -> None:
    async with a_page(browser, up.ready.url) as page:
        await page.goto("/login?next=%2Fevents")
        await page.get_by_role("textbox", name="Email").fill("somebody@shop.example")
        await page.get_by_role("textbox", name="Password").fill("not this one")
        await page.get_by_role("button", name="Log in").click()

        await expect(page.get_by_role("alert")).to_have_text("No account has this address and password.")
        await expect(page.get_by_role("textbox", name="Email")).to_have_value("somebody@shop.example")


async def test_the_link_that_up_prints_logs_in_once(browser: Browser, tmp_path: Path) -> None:
    """And is out of the address and the history before anybody sees it."""
    # It is valid for 15 minutes after the start, so the collector that all tests share may be too old.
    async with started_up(tmp_path / "data") as up:
        await up.until_ready()
        found = re.search(r"http\S+/login#\w{40}", up.output)
        assert found is not None
        async with a_page(browser, up.ready.url) as page:
            await page.goto(found[0])
            await expect(page.get_by_role("navigation", name="Main")).to_be_visible()
            assert found[0].partition("#")[2] not in page.url
            assert await page.evaluate("document.cookie") == ""
        async with a_page(browser, up.ready.url) as page:
            await page.goto(found[0])
            await expect(page.get_by_role("alert")).to_contain_text("This link has been used already")


async def test_somebody_who_is_invited_signs_up_and_ends_other_logins(
    up: RunningUp, browser: Browser
) -> None:
    email = f"new-{secrets.token_hex(4)}@shop.example"
    async with logged_in(up, browser) as page:
        await page.goto(f"/organization/{up.ready.organization_id}/people")
        await page.get_by_label("Address to invite").fill(email)
        await page.get_by_role("button", name="Invite").click()
        await page.get_by_role("row", name=email).get_by_role("button", name="Copy invitation link").click()
        organization = await page.context.request.get(f"/api/v2/organizations/{up.ready.organization_id}")
        invites = {one["email_address"]: one["token"] for one in (await organization.json())["invites"]}
    async with a_page(browser, up.ready.url) as page:
        await page.goto(f"/signup?token={invites[email]}")
        await page.get_by_role("textbox", name="Name").fill("New One")
        await page.get_by_role("textbox", name="Email").fill(email)
        await page.get_by_role("textbox", name="Password").fill("correct horse")
        await page.get_by_role("button", name="Sign up").click()
        await expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        await expect(page.get_by_label("Account: New One")).to_be_visible()

        # Another browser logs in; from here it is logged out again.
        async with ClientSession(up.ready.url) as elsewhere:
            credentials = {"email": email, "password": "correct horse"}
            async with elsewhere.post("/api/v2/auth/login", json=credentials) as answer:
                headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
            await page.get_by_label("Account: New One").click()
            await page.get_by_role("link", name="Account").click()
            logins = page.get_by_role("region", name="Logins")
            await expect(logins.get_by_role("row")).to_have_count(3)
            # One login by its own button, and the rest together.
            agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
            async with elsewhere.post("/api/v2/auth/login", json=credentials, headers=agent) as answer:
                other = {"Authorization": f"Bearer {(await answer.json())['token']}"}
            await page.reload()
            await expect(logins.get_by_role("row")).to_have_count(4)
            await logins.get_by_role("button", name="Log out Firefox on Linux").click()
            await expect(logins.get_by_role("row")).to_have_count(3)
            async with elsewhere.get("/api/v2/users/me", headers=other) as answer:
                assert answer.status == 401
            await expect(logins.get_by_role("row", name="Chrome on Linux this one")).to_have_count(1)
            await logins.get_by_role("button", name="Log out everywhere else").click()
            await expect(logins.get_by_role("row")).to_have_count(2)
            async with elsewhere.get("/api/v2/users/me", headers=headers) as answer:
                assert answer.status == 401


async def test_the_keyboard_is_enough(up: RunningUp, browser: Browser) -> None:
    """From the log-in to the copied trace."""
    message = f"Deadlock {secrets.token_hex(4)}"
    await send(up, an_error(message))
    async with a_page(browser, up.ready.url) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.goto("/login")
        await expect(page.get_by_role("textbox", name="Email")).to_be_focused()
        await page.keyboard.type(up.ready.email)
        await page.keyboard.press("Tab")
        await page.keyboard.type(up.ready.password)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("navigation", name="Main")).to_be_visible()

        await page.keyboard.press("g")
        await page.keyboard.press("e")
        await expect(page).to_have_url(re.compile("/events"))
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox", name="Filter")).to_be_focused()
        await page.keyboard.type(f'"{message}"')
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name=message)).to_have_count(1)
        await page.keyboard.press("Escape")
        await page.keyboard.press("j")
        await expect(page.get_by_role("link", name=message)).to_be_focused()
        await page.keyboard.press("o")
        await expect(page.get_by_role("heading", name=message)).to_be_visible()
        await page.keyboard.press("m")
        await expect(page.get_by_text("Markdown copied.")).to_be_visible()
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"# {message}\n\n- **Type:** error\n")
        assert '"number": 4711' in copied
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


async def test_a_stack_is_marked_fixed_and_that_is_undone(up: RunningUp, browser: Browser) -> None:
    [event] = await send(
        up, an_error("Marked", data={"@stack": {"signature_data": {"a": secrets.token_hex(4)}}})
    )
    async with logged_in(up, browser) as page:
        await page.goto(f"/stack/{event['stack_id']}")
        for button, word in [("Mark fixed", "Fixed"), ("Reopen", "Open"), ("Ignore", "Ignored")]:
            await page.get_by_role("button", name=button, exact=True).click()
            await expect(page.locator(".subject .status")).to_contain_text(word)
        await page.get_by_role("button", name="Undo").click()
        await expect(page.locator(".subject .status")).to_contain_text("Open")
        await page.get_by_role("button", name="Discard", exact=True).click()
        await page.get_by_role("button", name="Discard new events").click()
        await expect(page.locator(".subject .status")).to_contain_text("Discarded")


async def test_a_new_project_shows_what_to_paste_and_turns_into_its_first_event(
    up: RunningUp, browser: Browser
) -> None:
    """Nothing has to be reloaded."""
    async with logged_in(up, browser) as page:
        made = await page.context.request.post(
            "/api/v2/projects",
            data={"organization_id": up.ready.organization_id, "name": f"New {secrets.token_hex(4)}"},
            headers={"Origin": up.ready.url},
        )
        project = (await made.json())["id"]
        await page.goto(f"/stacks?project={project}")
        await expect(page.get_by_role("heading", name="Waiting for the first event")).to_be_visible()
        code = await page.get_by_role("region", name="Code to send a first event").inner_text()
        found = re.search(r"Bearer (\w+)", code)
        assert found is not None
        assert f"curl -i {up.ready.url}/api/v2/events" in code
        headers = {"Authorization": f"Bearer {found[1]}"}
        first = {"type": "error", "message": "My first error"}
        async with (
            ClientSession(up.ready.url, headers=headers) as session,
            session.post("/api/v2/events", json=first) as sent,
        ):
            assert sent.status == 202
        await expect(page.get_by_role("heading", name="My first error")).to_be_visible()
        await expect(page).to_have_url(re.compile("/event/"))


async def test_the_stream_counts_while_it_is_paused(up: RunningUp, browser: Browser) -> None:
    """And shows what has come at one press; it says so to those who listen."""
    async with logged_in(up, browser) as page:
        await page.goto("/stream")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await page.keyboard.press("Space")
        await expect(page.get_by_text("Paused", exact=True)).to_be_visible()
        message = f"Streamed {secrets.token_hex(4)}"
        await send(up, {"type": "log", "message": message})
        await expect(page.get_by_role("status").filter(has_text=" new")).to_have_count(1)
        await expect(page.get_by_role("link", name=message)).to_have_count(0)
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_role("link", name=message)).to_have_count(1)


async def test_a_flood_of_events_costs_a_page_one_list_a_second(up: RunningUp, browser: Browser) -> None:
    """And keys still work. `make bench-pages` measures it with 5,000 events a second."""
    asked: list[str] = []
    sender = {"Authorization": f"Bearer {up.ready.client_token}"}
    async with logged_in(up, browser) as page, ClientSession(up.ready.url) as session:
        await page.goto("/stream")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        page.on("request", lambda request: asked.append(request.url) if "/events?" in request.url else None)
        began = time.monotonic()
        for _ in range(30):
            flood = [{"type": "log", "message": f"Flood {secrets.token_hex(4)}"} for _ in range(100)]
            async with session.post("/api/v2/events", json=flood, headers=sender) as answer:
                assert answer.status == 202
        message = f"Last of the flood {secrets.token_hex(4)}"
        await send(up, {"type": "log", "message": message})
        await expect(page.get_by_role("link", name=message)).to_have_count(1)

        assert 1 <= len(asked) <= time.monotonic() - began + 2
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


async def test_types_and_words_like_members_of_the_language_are_shown(
    up: RunningUp, browser: Browser
) -> None:
    """In the rows, in suggestions, and in the address."""
    message = f"Named {secrets.token_hex(4)}"
    [event] = await send(up, {"type": "constructor", "message": message})
    async with logged_in(up, browser) as page:
        await page.goto("/events?in=toString")
        await expect(page.get_by_role("link", name=message)).to_be_visible()
        await page.get_by_role("searchbox", name="Filter").fill("constructor:x")
        await expect(page.get_by_role("searchbox", name="Filter")).to_have_value("constructor:x")
        await page.goto(f"/event/{event['id']}")
        await expect(page.get_by_role("heading", name=message)).to_be_visible()


async def test_columns_that_another_tab_has_chosen_are_taken_over(up: RunningUp, browser: Browser) -> None:
    """And can be changed here again."""
    await send(up, {"type": "log", "message": "in columns"})
    async with logged_in(up, browser) as page:
        await page.goto("/events")
        other = await page.context.new_page()
        await other.goto("/events")
        await other.get_by_label("Columns of the list").click()
        await other.get_by_role("checkbox", name="Source").check()
        await expect(page.get_by_role("columnheader", name="Source")).to_be_attached()
        await page.get_by_label("Columns of the list").click()
        await page.get_by_role("checkbox", name="Source").uncheck()
        await expect(other.get_by_role("columnheader", name="Source")).to_have_count(0)


SCRIPT = (
    '<img src=x onerror="top.hacked=1"><script>top.hacked=1</script>'
    "javascript:top.hacked=1//\"'`${top.hacked=1}"
)


def hostile(reference_id: str) -> dict[str, Any]:
    """Script in every member, also in the names."""
    inner: dict[str, Any] = {"type": SCRIPT, "message": SCRIPT, "data": {SCRIPT: SCRIPT}, "code": SCRIPT}
    frame = dict.fromkeys(["declaring_namespace", "declaring_type", "name", "file_name"], SCRIPT)
    known = {
        "@error": {**inner, "stack_trace": [frame, frame], "inner": inner},
        "@request": {
            **dict.fromkeys(
                ["http_method", "host", "path", "referrer", "user_agent", "client_ip_address"], SCRIPT
            ),
            "headers": {SCRIPT: [SCRIPT]},
            "cookies": {SCRIPT: SCRIPT},
            "query_string": {SCRIPT: SCRIPT},
            "post_data": {SCRIPT: SCRIPT},
        },
        "@environment": {
            "machine_name": SCRIPT,
            "o_s_name": SCRIPT,
            "command_line": SCRIPT,
            "data": {SCRIPT: SCRIPT},
        },
        "@user": {"identity": SCRIPT, "name": SCRIPT},
        "@user_description": {"email_address": SCRIPT, "description": SCRIPT},
        "@location": {"country": SCRIPT},
        "@version": SCRIPT,
        "@level": SCRIPT,
        "@stack": {"title": SCRIPT, "signature_data": {SCRIPT: SCRIPT}},
        SCRIPT: {SCRIPT: [SCRIPT]},
    }
    return {
        "type": "error",
        "source": SCRIPT,
        "message": SCRIPT,
        "tags": [SCRIPT],
        "reference_id": reference_id,
        "data": known,
    }


async def test_script_in_every_member_is_only_text(up: RunningUp, browser: Browser) -> None:
    """The policy has nothing to stop (`a_page` notes what it reports), and nothing was run."""
    [event] = await send(up, hostile(f"hostile-{secrets.token_hex(4)}"))
    async with logged_in(up, browser) as page:
        for path in [
            "/stacks?filter=",
            "/events",
            "/stream",
            "/sessions",
            f"/stack/{event['stack_id']}",
            f"/event/{event['id']}?frames=text",
        ]:
            await page.goto(path)
            await expect_only_text(page)
        tabs = page.get_by_role("navigation", name="Parts of the event").get_by_role("link")
        for tab in await tabs.all():
            await tab.click()
            await expect_only_text(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text(SCRIPT)


async def expect_only_text(page: Page) -> None:
    await until_drawn(page)
    assert await page.evaluate("window.hacked") is None
    assert await page.locator("main img, main script").count() == 0


TABS = ["exception", "overview", "environment", "request", "data", "session", "json"]

EXTREMES: list[dict[str, Any]] = [
    an_error("ا" * 2000),
    {"type": "log", "message": "m", "data": {"@stack": {"title": "t" * 2000, "signature_data": {"a": "b"}}}},
    an_error("deep", data={"@error": {"type": "E", "stack_trace": [{"name": "f"}] * 10_000}}),
    {"type": "log", "message": "long", "data": {"text": "x" * 90_000, "list": list(range(2000))}},
    {"type": "log", "message": "deep", "data": json.loads('{"a":' * 200 + "1" + "}" * 200)},
]


async def test_extremes_are_shown_and_stay_in_their_place(up: RunningUp, browser: Browser) -> None:
    """Text from right to left, a title of 2,000 characters, 10,000 frames, large and deep data."""
    async with logged_in(up, browser, PHONE) as page:
        for extreme in EXTREMES:  # each in a post of its own: together they are too large for one
            [event] = await send(up, extreme)
            for path in (f"/stack/{event['stack_id']}", f"/event/{event['id']}"):
                await page.goto(path)
                await until_drawn(page)
                await expect(page.get_by_role("heading", level=1)).to_have_count(1)
                assert await sticks_out(page) == []
            tabs = page.get_by_role("navigation", name="Parts of the event").get_by_role("link")
            for tab in await tabs.filter(has_text=re.compile("Overview|data|JSON")).all():
                await tab.click()
                await until_drawn(page)
                assert await sticks_out(page) == []
        await page.goto("/stacks?filter=")
        await until_drawn(page)
        assert await sticks_out(page) == []


async def sticks_out(page: Page) -> list[str]:
    """What is wider than the screen."""
    found: list[str] = await page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth + 1)"
        ".map((one) => one.outerHTML.slice(0, 200))"
    )
    return found


@EVERYWHERE
async def test_everybody_can_use_every_page(
    up: RunningUp, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    """Nothing that axe-core finds, nothing that sticks out, in both themes and widths."""
    [event, *_] = await send(up, an_error("Could not finish the order"), {"type": "404", "source": "/none"})
    project, organization = up.ready.project_id, up.ready.organization_id
    paths = [
        "/stacks",
        "/stacks?filter=message:nothing-has-this",
        "/events",
        "/events?filter=type:(",
        "/stream",
        "/sessions",
        f"/stack/{event['stack_id']}",
        *(f"/event/{event['id']}?tab={tab}" for tab in TABS),
        f"/session/{event['data']['@ref:session']}",
        "/event/by-ref/not-stored-yet",
        f"/event/{'0' * 32}",
        *(f"/project/{project}/{page}" for page in ("setup", "keys", "config", "privacy", "usage")),
        *(f"/organization/{organization}/{page}" for page in ("projects", "people", "usage", "settings")),
        "/account",
        "/system",
    ]
    wrong: dict[str, Any] = {}
    async with logged_in(up, browser, size, scheme) as page:
        for path in paths:
            await page.goto(path)
            await until_drawn(page)
            if found := [*await violations(page), *await sticks_out(page)]:
                wrong[path] = found
    assert wrong == {}


async def test_the_system_page_says_how_the_server_is(up: RunningUp, browser: Browser) -> None:
    """Whether it is well, and what has become of a day's events."""
    await send(up, {"type": "log", "message": "counted"})
    async with ClientSession(up.ready.url) as session, session.post("/api/v2/events", json={}) as refused:
        assert refused.status == 401
    async with logged_in(up, browser) as page:
        await page.goto("/system")
        state = page.get_by_role("region", name="State")
        await expect(state).to_contain_text("Headrace is well")
        await expect(state).to_contain_text("Workers1")
        await expect(page.get_by_role("row", name=re.compile(r"^Stored")).first).to_be_visible()
        await expect(page.get_by_role("row", name=re.compile(r"^401 no valid key"))).to_have_count(1)
        await page.route("**/health/ready", lambda route: route.fulfill(json=NOT_READY, status=503))
        await page.reload()
        await expect(state).to_contain_text("Queue full: Redis is over its limit")

        # What cannot be known is no zero.
        queue = {"entries": None, "oldest_utc": None, "workers": None, "problem": "Redis cannot be read: no"}
        await page.route("**/admin/overview", lambda route: _altered(route, queue=queue))
        await page.reload()
        await expect(state).to_contain_text("Redis cannot be read: no")
        await expect(state).to_contain_text("In the queue?Workers?")
        await page.route("**/admin/overview", lambda route: _altered(route, dead_letters_fullness=0.85))
        await page.reload()
        await expect(state).to_contain_text("used 85 % of their room")


async def _altered(route: Route, **members: Any) -> None:
    answer = await route.fetch()
    await route.fulfill(response=answer, json=await answer.json() | members)


async def test_dead_letters_are_read_replayed_and_discarded(up: RunningUp, browser: Browser) -> None:
    """After a question that says how many; what they hold is only text."""
    body = b"<script>top.hacked=1</script> is not gzip"
    sender = {"Authorization": f"Bearer {up.ready.client_token}"}
    headers = sender | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    path = "/api/v2/admin/dead-letters?reason=corrupt_encoding&limit=1000"

    async with ClientSession(up.ready.url) as session, logged_in(up, browser) as page:

        async def letters() -> int:
            return len(await (await page.context.request.get(path)).json())

        async def keep(number: int) -> None:
            for _ in range(number):
                async with session.post("/api/v2/events", data=body, headers=headers) as answer:
                    assert answer.status == 202

            async def are_kept() -> bool:
                return await letters() == number

            await until(are_kept, 30, "the dead letters")

        await keep(2)
        await page.goto("/system")
        await page.get_by_role("link", name="Corrupt encoding").click()
        rows = page.get_by_role("region", name="Dead letters: Corrupt encoding").get_by_role("row")
        await expect(rows).to_have_count(3)
        await rows.nth(1).get_by_role("link").click()
        letter = page.get_by_role("dialog", name="Dead letter")
        await expect(letter.get_by_role("region", name="Content")).to_have_text(body.decode())
        assert await violations(page) == []
        await letter.get_by_role("button", name="Discard").click()
        await page.get_by_role("button", name="Discard 1 for good").click()
        await expect(page.get_by_text("1 dead letter discarded.")).to_be_visible()
        await expect(rows).to_have_count(2)
        await page.get_by_role("button", name="Replay corrupt encoding").click()
        question = page.get_by_role("dialog", name="Replay 1 dead letter?")
        assert await violations(page) == []
        await question.get_by_role("button", name="Cancel").click()
        assert await letters() == 1

        await page.get_by_role("button", name="Replay corrupt encoding").click()
        await question.get_by_role("button", name="Replay 1").click()
        await expect(page.get_by_text("1 dead letter replayed; a worker stores them now.")).to_be_visible()
        assert await page.evaluate("top.hacked") is None


NOT_READY = {"status": "not ready", "checks": {"queue_full": "Redis is over its limit"}}


@pytest.mark.parametrize("path", ["/login", "/signup?token=" + "a" * 40])
async def test_everybody_can_log_in(up: RunningUp, browser: Browser, path: str) -> None:
    async with a_page(browser, up.ready.url, PHONE, "dark") as page:
        await page.goto(path)
        await until_drawn(page)
        assert [*await violations(page), *await sticks_out(page)] == []


async def test_only_the_paths_of_the_app_answer_with_it(up: RunningUp) -> None:
    async with ClientSession(up.ready.url) as session:
        for path, status in [
            ("/stacks", 200),
            (f"/event/{'a' * 32}", 200),
            ("/event/by-ref/order-4711", 200),
            ("/stacks/", 404),
            ("/event/x", 404),
            ("/anything", 404),
        ]:
            async with session.get(path) as answer:
                assert (path, answer.status) == (path, status)
                assert answer.content_type == ("text/html" if status == 200 else "application/problem+json")


async def test_an_ended_login_keeps_the_page_and_goes_on(up: RunningUp, browser: Browser) -> None:
    """What was typed stays; the same place is there after the log-in."""
    async with logged_in(up, browser) as page:
        await page.goto(f"/project/{up.ready.project_id}/config")
        await page.get_by_label("Name").fill("@@log:*")
        await page.get_by_label("Value").fill("warn")
        await page.context.clear_cookies()
        await page.get_by_role("button", name="Set").click()
        dialog = page.get_by_role("dialog", name="Log in again")
        await dialog.get_by_role("textbox", name="Email").fill(up.ready.email)
        await dialog.get_by_role("textbox", name="Password").fill(up.ready.password)
        await dialog.get_by_role("button", name="Log in").click()
        await expect(dialog).to_have_count(0)
        await expect(page.get_by_label("Value")).to_have_value("warn")
        await page.get_by_role("button", name="Set").click()
        await expect(page.get_by_role("cell", name="@@log:*", exact=True)).to_be_visible()


async def test_a_view_is_saved_chosen_and_removed_by_keyboard(up: RunningUp, browser: Browser) -> None:
    """It has the filter, the time and the order, and is still there after a reload."""
    async with logged_in(up, browser) as page:
        await page.goto("/stacks?filter=type:error&time=all&mode=stack_new")
        await until_drawn(page)
        await page.keyboard.press("v")
        await page.get_by_role("button", name="Save this view").press("Enter")
        await page.keyboard.type("New errors")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("The view New errors is saved")).to_be_visible()

        await page.goto(f"/events?project={up.ready.project_id}")
        await until_drawn(page)
        await page.keyboard.press("v")
        view = page.get_by_role("link", name="New errors Stacks")
        assert await violations(page) == []
        await view.press("Enter")
        place = rf"/stacks\?project={up.ready.project_id}&filter=type%3Aerror&time=all&mode=stack_new$"
        await expect(page).to_have_url(
            re.compile(place.replace("&filter", ".*&filter").replace("&time", ".*"))
        )
        await page.get_by_label("Saved views").press("Enter")
        await page.get_by_role("button", name="Remove the view New errors").press("Enter")
        await expect(view).to_have_count(0)
        await page.get_by_role("button", name="Undo").click()
        await page.get_by_label("Saved views").click()
        await expect(view).to_have_count(1)


async def test_columns_are_chosen_and_stay(up: RunningUp, browser: Browser) -> None:
    await send(up, an_error(f"Tagged {secrets.token_hex(4)}"))
    async with logged_in(up, browser) as page:
        await page.goto("/events?filter=tag:checkout")
        await expect(page.get_by_role("columnheader", name="User")).to_be_visible()
        await page.get_by_label("Columns of the list").press("Enter")
        for column in ("User", "Tags"):
            await page.get_by_role("checkbox", name=column).press("Space")
        await page.reload()
        await expect(page.get_by_role("columnheader", name="Tags")).to_be_visible()
        await expect(page.get_by_role("cell", name="checkout", exact=True).first).to_be_visible()
        await expect(page.get_by_role("columnheader", name="User")).to_have_count(0)


async def test_data_gets_a_tab_of_its_own(up: RunningUp, browser: Browser) -> None:
    """For all events of the project, until it is taken back."""
    [event] = await send(up, an_error(f"Promoted {secrets.token_hex(4)}"))
    tabs = ["Exception", "Overview", "Environment", "Request", "Extended data"]
    async with logged_in(up, browser) as page:
        await page.goto(f"/event/{event['id']}?tab=data")
        await page.get_by_label("Show as a tab of its own").click()
        await page.get_by_role("button", name="order", exact=True).click()
        parts = page.get_by_role("navigation", name="Parts of the event").get_by_role("link")
        await expect(parts).to_contain_text([*tabs[:-1], "order", "Session", "JSON"])
        await parts.filter(has_text="order").click()
        await expect(page.get_by_role("region", name="order").get_by_text("4711")).to_be_visible()
        await page.get_by_role("button", name="No longer a tab").click()
        await expect(parts).to_contain_text([*tabs, "Session", "JSON"])
