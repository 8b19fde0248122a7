"""What the api says of itself."""

from importlib.metadata import version

import pytest

from tests.api.running_api import RunningApi

pytestmark = pytest.mark.integration


async def test_anyone_may_know_the_version(api: RunningApi) -> None:
    """With the members of the official server, but for the machine's name."""
    answer = await api.get("/api/v2/about")

    assert answer.status == 200
    assert answer.json == {
        "informational_version": version("headrace"),
        "app_mode": "Production",
        "app_scope": "",
    }


async def test_there_is_nothing_to_tell_everybody(api: RunningApi) -> None:
    """Which is an answer, too: official user interfaces ask for it again and again."""
    answer = await api.get("/api/v2/notifications/system", api.people.program)

    assert (answer.status, answer.body) == (204, b"")
