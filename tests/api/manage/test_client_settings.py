"""The client configuration: people change it and ingest follows."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from collector.database.owners.client_settings import BYTES_AT_MOST
from collector.domain.project.client_settings import NEW_PROJECT_SETTINGS
from tests.api.running_api import Answer, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT
from tests.support.waiting import until

pytestmark = pytest.mark.integration

PATH = f"/api/v2/projects/{PROJECT.hex}/config"


async def put(api: RunningApi, key: str, value: Any, token: str | None = None) -> Answer:
    """Set a value."""
    return await api.post(PATH, token or api.people.user, {"value": value}, params={"key": key})


async def remove(api: RunningApi, key: str) -> Answer:
    """Remove a key."""
    return await api.request("DELETE", PATH, api.people.user, params={"key": key})


async def known_to_ingest(api: RunningApi, project_id: UUID = PROJECT) -> tuple[int, dict[str, str]] | None:
    """Version and settings, without those that every project starts with."""
    entry = (await api.parts.projection.find_project(project_id.bytes)).entry
    if entry is None:
        return None
    assert entry.organization_id == ORGANIZATION.bytes
    assert entry.settings.items() >= NEW_PROJECT_SETTINGS.items()
    own = {key: value for key, value in entry.settings.items() if key not in NEW_PROJECT_SETTINGS}
    return entry.config_version, own


async def test_a_setting_is_known_at_ingest_with_a_new_version(api: RunningApi) -> None:
    """Every change counts, even to the same value. Key and value are trimmed."""
    answer = await put(api, " @@log:* ", " Warn\n")
    assert (answer.status, answer.body) == (200, b"")
    assert await known_to_ingest(api) == (2, {"@@log:*": "Warn"})

    await put(api, "@@log:*", "Error")
    await put(api, "other", "x")
    await put(api, "other", "x")
    assert await known_to_ingest(api) == (5, {"@@log:*": "Error", "other": "x"})

    assert (await remove(api, " other ")).status == 200
    assert await known_to_ingest(api) == (6, {"@@log:*": "Error"})


async def test_removing_an_unknown_key_keeps_the_version(api: RunningApi) -> None:
    """The settings are published again all the same."""
    assert (await remove(api, "nothing")).status == 200

    assert await known_to_ingest(api) == (1, {})


async def test_concurrent_changes_are_all_kept_and_ingest_has_the_last(api: RunningApi) -> None:
    """They are published under the project's row lock, so an older state cannot overwrite a newer one."""
    answers = await asyncio.gather(*(put(api, f"key{number}", "x") for number in range(20)))

    assert {answer.status for answer in answers} == {200}
    assert await known_to_ingest(api) == (21, {f"key{number}": "x" for number in range(20)})


async def test_nul_in_a_setting_is_replaced(api: RunningApi) -> None:
    """By U+FFFD."""
    assert (await put(api, "a\0b", "c\0d")).status == 200

    assert await known_to_ingest(api) == (2, {"a\ufffdb": "c\ufffdd"})


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        pytest.param("", {"value": "x"}, 400, id="no key"),
        pytest.param("  ", {"value": "x"}, 400, id="a blank key"),
        pytest.param("k" * 256, {"value": "x"}, 400, id="a key too long"),
        pytest.param("k", {"value": " "}, 400, id="a blank value"),
        pytest.param("k", {"value": None}, 400, id="null"),
        pytest.param("k", {}, 400, id="no value"),
        pytest.param("k", None, 400, id="no body"),
        pytest.param("k", b"{", 400, id="invalid JSON"),
        pytest.param("k", {"value": "v" * 10_001}, 400, id="a value too long"),
        pytest.param("k", {"value": ["x"]}, 422, id="a list"),
    ],
)
async def test_an_invalid_setting_is_refused(api: RunningApi, key: str, body: Any, status: int) -> None:
    """Nothing changes."""
    answer = await api.post(PATH, api.people.user, body, params={"key": key})

    assert (answer.status, answer.json["status"]) == (status, status)
    assert await known_to_ingest(api) is None
    assert await api.pool.fetchval("SELECT config_version FROM projects WHERE id = $1", PROJECT) == 1


async def test_a_project_has_a_bounded_number_of_settings(api: RunningApi) -> None:
    """Existing ones can still be changed."""
    await api.pool.execute(
        "UPDATE projects SET settings ="
        " (SELECT jsonb_object_agg('key' || n, 'x') FROM generate_series(1, 1000) n) WHERE id = $1",
        PROJECT,
    )

    assert (await put(api, "one more", "x")).status == 400
    assert (await put(api, "key7", "y")).status == 200


async def test_the_total_size_of_a_projects_settings_is_bounded(api: RunningApi) -> None:
    """Ingest holds them in memory. Smaller ones can still be set, and removing one frees space."""
    fitting = BYTES_AT_MOST // 10_000 - 1
    answers = [await put(api, f"key{number}", "x" * 10_000) for number in range(fitting)]
    assert {answer.status for answer in answers} == {200}

    assert (await put(api, "more", "\N{EURO SIGN}" * 10_000)).status == 400
    assert (await put(api, "small", "x")).status == 200
    assert (await remove(api, "key0")).status == 200
    assert (await put(api, "more", "x" * 10_000)).status == 200


async def test_changing_settings_needs_the_scope_user_in_the_organization(api: RunningApi) -> None:
    """Projects elsewhere do not exist for the caller."""
    people = api.people
    foreign = f"/api/v2/projects/{OTHER_PROJECT.hex}/config"
    body, key = {"value": "x"}, {"key": "k"}

    assert (await put(api, "k", "x", people.program)).status == 200
    assert (await put(api, "k", "x", people.admin)).status == 200
    assert (await put(api, "k", "x", people.client)).status == 403
    assert (await api.post(PATH, None, body, params=key)).status == 401
    assert (await api.post(foreign, people.user, body, params=key)).status == 404
    assert (await api.request("DELETE", foreign, people.user, params=key)).status == 404


async def test_a_change_that_cannot_be_published_is_503(api_without_redis: RunningApi) -> None:
    """It is stored, and the sweep publishes it."""
    answer = await put(api_without_redis, "k", "x")

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    version = await api_without_redis.pool.fetchval(
        "SELECT config_version FROM projects WHERE id = $1", PROJECT
    )
    assert version == 2


async def test_nothing_is_set_for_a_project_that_is_being_deleted(api: RunningApi) -> None:
    """404 then, too, never an error about too many settings."""

    async def is_waiting() -> bool:
        waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(await api.pool.fetchval(f"{waits} AND datname = current_database())"))

    async with asyncio.TaskGroup() as tasks, api.pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM projects WHERE id = $1", PROJECT)
        setting = tasks.create_task(put(api, "k", "v"))
        await until(is_waiting)

    answer = setting.result()
    assert (answer.status, answer.json["title"]) == (404, "There is no such project.")
