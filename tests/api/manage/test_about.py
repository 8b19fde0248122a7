"""What the api says about itself."""

from importlib.metadata import version

import pytest

from tests.api.running_api import RunningApi

pytestmark = pytest.mark.integration


async def test_the_version_is_public(api: RunningApi) -> None:
    """With the members of the official server, except the machine's name."""
    answer = await api.get("/api/v2/about")

    assert answer.status == 200
    assert answer.json == {
        "informational_version": version("headrace"),
        "app_mode": "Production",
        "app_scope": "",
    }


async def test_there_is_no_system_notification(api: RunningApi) -> None:
    """Official user interfaces poll for it, so the answer is not an error."""
    answer = await api.get("/api/v2/notifications/system", api.people.program)

    assert (answer.status, answer.body) == (204, b"")
