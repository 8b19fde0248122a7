"""An imitation of a third party's Python client: one object per post, with unknown members."""

import json

import aiohttp
import pytest

from tests.clients.stored import Reader, as_stored, new_reference_id, written
from tests.end_to_end.running import RunningUp
from tests.support.real_clock import real_now

pytestmark = pytest.mark.end_to_end

AGENT = {"ip_address": "127.0.0.1", "user_agent": "python-requests", "version": "2.32.5"}


@pytest.fixture
def headers(up: RunningUp) -> dict[str, str]:
    """As requests sends them."""
    return {
        "Authorization": f"Bearer {up.ready.client_token}",
        "User-Agent": "python-requests/2.32.5",
        "Content-Type": "application/json",
        "Accept": "*/*",
    }


async def test_the_key_is_checked_by_asking_for_the_settings(up: RunningUp, headers: dict[str, str]) -> None:
    """The answer is always 200, because the client sends no version."""
    async with aiohttp.ClientSession(up.ready.url) as session:
        for _ in range(2):
            async with session.get("/api/v2/projects/config", headers=headers) as response:
                assert response.status == 200
                assert (await response.json()).keys() == {"version", "settings"}


async def test_unknown_members_become_data(up: RunningUp, headers: dict[str, str], reader: Reader) -> None:
    """Including a stack that is a text: nothing of the post is refused or lost.

    The client sends no reference id; the test adds one to find the event.
    """
    own = new_reference_id()
    root = {
        "type": "error",
        "message": "division by zero",
        "date": f"{real_now().replace(tzinfo=None).isoformat()}Z",
        "reference_id": own,
    }
    stack = "Traceback (most recent call last):\n  File ...\nZeroDivisionError: division by zero\n"
    environment = {"os": "Linux", "os_version": "#1 SMP", "python_version": "3.13.1"}
    sent = {**root, "@stack": stack, "@environment": environment, "data": {"plan": "gold"}}

    body = json.dumps(sent)
    async with (
        aiohttp.ClientSession(up.ready.url) as session,
        session.post("/api/v2/events", data=body, headers=headers) as response,
    ):
        assert (response.status, await response.read()) == (202, b"")

    environment["o_s_version"] = environment.pop("os_version")  # the name that it has everywhere else
    data = {"plan": "gold", "@environment": environment, "_@stack": stack}
    assert written(await reader.event(own)) == as_stored({**root, "data": data}, AGENT)
