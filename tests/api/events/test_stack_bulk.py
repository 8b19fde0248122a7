"""Changing all stacks that match, and the links of one."""

from typing import Any

import pytest

from tests.api.running_api import RunningApi
from tests.database.rows import ORGANIZATION, PROJECT, an_event

pytestmark = pytest.mark.integration

BULK = "/api/v2/stacks/change-status"


async def statuses(api: RunningApi) -> dict[str, str]:
    """The status of each stack, by its title."""
    rows = await api.pool.fetch("SELECT title, status FROM stacks")
    return {row["title"]: row["status"] for row in rows}


async def store_three(api: RunningApi) -> None:
    """Stacks a, b and c: of b there are two events."""
    await api.store(*(an_event(type="usage", source=name) for name in ("a", "b", "b", "c")))


async def test_all_that_match_are_counted_and_left_as_they_are(api: RunningApi) -> None:
    await store_three(api)

    answer = await api.post(f"{BULK}?filter=source:(a OR b)&status=fixed&count_only=true", api.people.user)

    assert answer.json == {"stacks": 2, "events": 3, "undo": {}}
    assert set((await statuses(api)).values()) == {"open"}


async def test_a_mistake_in_count_only_changes_nothing(api: RunningApi) -> None:
    await store_three(api)

    answer = await api.post(f"{BULK}?status=discarded&count_only=yes", api.people.user)

    assert (answer.status, "count_only" in answer.json["title"]) == (400, True)
    assert set((await statuses(api)).values()) == {"open"}


async def test_all_that_match_are_changed_and_the_answer_says_how_to_undo_it(api: RunningApi) -> None:
    await store_three(api)
    await api.post(f"{BULK}?filter=source:a&status=ignored", api.people.user)

    answer = await api.post(f"{BULK}?filter=source:(a OR b)&status=fixed", api.people.user)

    assert await statuses(api) == {"a": "fixed", "b": "fixed", "c": "open"}
    assert (answer.json["stacks"], answer.json["events"]) == (2, 3)
    assert {status: len(ids) for status, ids in answer.json["undo"].items()} == {"ignored": 1, "open": 1}


async def test_others_change_nothing_of_it(api: RunningApi) -> None:
    await store_three(api)

    answer = await api.post(f"{BULK}?status=discarded", api.people.stranger)

    assert answer.json == {"stacks": 0, "events": 0, "undo": {}}
    assert set((await statuses(api)).values()) == {"open"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("status=regressed", 422),
        ("", 422),
        ("status=snoozed", 422),
        ("status=fixed&version=nothing", 400),
        ("status=fixed&filter=type:(", 400),
    ],
)
async def test_a_wrong_change_changes_nothing(api: RunningApi, query: str, status: int) -> None:
    await store_three(api)

    assert (await api.post(f"{BULK}?{query}", api.people.user)).status == status
    assert set((await statuses(api)).values()) == {"open"}


async def test_links_are_added_once_and_removed(api: RunningApi) -> None:
    await store_three(api)
    stack_id = (await api.pool.fetchval("SELECT id FROM stacks LIMIT 1")).hex
    link: dict[str, Any] = {"value": "  https://tickets.example.com/1 "}

    async def links() -> list[str]:
        found: list[str] = (await api.get(f"/api/v2/stacks/{stack_id}", api.people.user)).json["references"]
        return found

    for _ in range(2):
        assert (await api.post(f"/api/v2/stacks/{stack_id}/add-link", api.people.user, link)).status == 200
    assert await links() == ["https://tickets.example.com/1"]
    assert (await api.post(f"/api/v2/stacks/{stack_id}/remove-link", api.people.user, link)).status == 204
    assert await links() == []


async def test_an_empty_link_is_no_link(api: RunningApi) -> None:
    await store_three(api)
    stack_id = (await api.pool.fetchval("SELECT id FROM stacks LIMIT 1")).hex

    for action in ("add-link", "remove-link"):
        answer = await api.post(f"/api/v2/stacks/{stack_id}/{action}", api.people.user, {"value": " "})
        assert (answer.status, answer.json["title"]) == (400, "Invalid reference link.")


async def test_deleting_asks_a_worker_and_names_what_is_not_there(api: RunningApi) -> None:
    await store_three(api)
    stack_id = (await api.pool.fetchval("SELECT id FROM stacks WHERE title = 'a'")).hex

    answer = await api.request("DELETE", f"/api/v2/stacks/{stack_id},{'0' * 32}", api.people.user)

    assert (answer.status, answer.json["success"]) == (400, [stack_id])
    assert [row["stack_id"].hex for row in await api.pool.fetch("SELECT stack_id FROM removals")] == [
        stack_id
    ]


async def test_a_suspended_organization_has_no_stream_and_no_change_of_all(api: RunningApi) -> None:
    await api.pool.execute("UPDATE organizations SET is_suspended = true WHERE id = $1", ORGANIZATION)
    project = f"/api/v2/projects/{PROJECT.hex}"

    assert (await api.get(f"{project}/events/stream", api.people.admin)).status == 402
    assert (await api.post(f"{project}/stacks/change-status?status=open", api.people.admin)).status == 402


async def test_a_stack_has_at_most_fifty_links(api: RunningApi) -> None:
    await store_three(api)
    stack_id = (await api.pool.fetchval("SELECT id FROM stacks LIMIT 1")).hex
    await api.pool.execute(
        'UPDATE stacks SET "references" = ARRAY(SELECT n::text FROM generate_series(1, 50) AS n)'
    )

    answer = await api.post(f"/api/v2/stacks/{stack_id}/add-link", api.people.user, {"value": "one more"})

    assert answer.status == 400
