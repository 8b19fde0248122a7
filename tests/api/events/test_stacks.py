"""Stacks are read, and their status is set, by callers who may read their project."""

from typing import Any
from uuid import UUID

import pytest

from tests.api.running_api import OTHER_ORGANIZATION, Answer, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, today
from tests.database.stack_rows import a_stack_row
from tests.support.fakes import FakeClock, clock_of

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> FakeClock:
    """Noon of the day on which the events happen."""
    return clock_of(today())


MINE, MINE_TOO, FOREIGN = UUID(int=7), UUID(int=8), UUID(int=9)


@pytest.fixture(autouse=True)
async def stacks(api: RunningApi) -> None:
    """Two stacks of the organization, and one of the other."""
    await a_stack_row(api.pool, MINE)
    await a_stack_row(api.pool, MINE_TOO)
    await a_stack_row(api.pool, FOREIGN, project_id=OTHER_PROJECT, organization_id=OTHER_ORGANIZATION)


async def change(api: RunningApi, status: str | None, *ids: UUID, token: str | None = None) -> Answer:
    """Change stacks."""
    path = f"/api/v2/stacks/{','.join(id_.hex for id_ in ids)}/change-status"
    parameters = {} if status is None else {"status": status}
    return await api.post(path, token or api.people.program, params=parameters)


async def status_of(api: RunningApi, stack_id: UUID) -> str:
    """The status in the stack's row."""
    return str(await api.pool.fetchval("SELECT status FROM stacks WHERE id = $1", stack_id))


async def test_a_stack_of_a_deleted_project_is_gone_immediately(api: RunningApi) -> None:
    """Also with its events and its user descriptions, although its row is removed later."""
    answer = await api.request("DELETE", f"/api/v2/projects/{PROJECT.hex}", api.people.user)
    assert answer.status == 202
    assert await status_of(api, MINE) == "open"

    for path in (f"stacks/{MINE.hex}", f"stacks/{MINE.hex}/events"):
        assert (await api.get(f"/api/v2/{path}", api.people.user)).status == 404
    assert (await change(api, "fixed", MINE, token=api.people.admin)).status == 404
    assert await status_of(api, MINE) == "open"


async def test_a_suspended_organization_shows_no_stack(api: RunningApi) -> None:
    await api.pool.execute("UPDATE organizations SET is_suspended = true WHERE id = $1", ORGANIZATION)

    assert (await api.get(f"/api/v2/stacks/{MINE.hex}", api.people.user)).status == 404
    assert (await api.get(f"/api/v2/stacks/{MINE.hex}/events", api.people.user)).status == 402
    assert (await change(api, "fixed", MINE, token=api.people.user)).status == 404


async def test_a_stack_has_every_member(api: RunningApi) -> None:
    """What the clients of the official server read."""
    answer = await api.get(f"/api/v2/stacks/{MINE.hex}", api.people.program)

    assert answer.status == 200
    view = answer.json
    assert view.pop("created_utc").endswith("Z")
    assert view.pop("updated_utc").endswith("Z")
    assert view == {
        "id": MINE.hex,
        "organization_id": ORGANIZATION.hex,
        "project_id": PROJECT.hex,
        "type": "log",
        "status": "open",
        "signature_hash": f"hash of {MINE}",
        "signature_info": {"Type": "log", "Source": "Shop"},
        "title": "Shop",
        "total_occurrences": 3,
        "first_occurrence": f"{today():%Y-%m-%dT%H:%M:%SZ}",
        "last_occurrence": f"{today():%Y-%m-%dT%H:%M:%SZ}",
        "occurrences_are_critical": False,
        "references": [],
        "tags": ["a"],
        "duplicate_signature": f"{PROJECT.hex}:hash of {MINE}",
        "is_deleted": False,
        "allow_notifications": True,
    }


@pytest.mark.parametrize("status", ["open", "fixed", "ignored", "discarded", "Discarded"])
async def test_a_status_is_set_for_all_named_stacks(api: RunningApi, status: str) -> None:
    """By a person, or a program with the scope user."""
    for token in (api.people.user, api.people.program):
        answer = await change(api, status, MINE, MINE_TOO, MINE, token=token)

        assert (answer.status, answer.body) == (200, b"")
    for stack_id in (MINE, MINE_TOO):
        assert await status_of(api, stack_id) == status.lower()
    assert await status_of(api, FOREIGN) == "open"


async def test_the_details_of_a_status_come_and_go_with_it(api: RunningApi) -> None:
    """The date and the version of the fix, and the end of a snooze."""
    await api.pool.execute("UPDATE stacks SET snooze_until_utc = now(), fixed_in_version = '1.0'")

    await change(api, "fixed", MINE)
    fixed = (await api.get(f"/api/v2/stacks/{MINE.hex}", api.people.user)).json
    await change(api, "open", MINE)
    reopened = (await api.get(f"/api/v2/stacks/{MINE.hex}", api.people.user)).json

    assert fixed["date_fixed"] == fixed["updated_utc"]
    assert not {"snooze_until_utc", "fixed_in_version"} & fixed.keys()
    assert fixed["allow_notifications"] is False
    assert "date_fixed" not in reopened


async def test_the_same_status_again_changes_nothing(api: RunningApi) -> None:
    """A fixed stack keeps the date of its fix."""
    await change(api, "fixed", MINE)
    before = await api.pool.fetchrow("SELECT * FROM stacks WHERE id = $1", MINE)

    assert (await change(api, "fixed", MINE)).status == 200
    assert await api.pool.fetchrow("SELECT * FROM stacks WHERE id = $1", MINE) == before


async def test_a_foreign_stack_does_not_exist(api: RunningApi) -> None:
    """Nor can it be changed."""
    for token in (api.people.user, api.people.program):
        assert (await change(api, "discarded", FOREIGN, token=token)).status == 404

    assert await status_of(api, FOREIGN) == "open"
    assert (await api.get(f"/api/v2/stacks/{FOREIGN.hex}", api.people.user)).status == 404


MARKS = [
    ("POST", "change-status?status=fixed", 200),
    ("POST", "mark-fixed?version=1.2", 200),
    ("POST", "mark-snoozed?snoozeUntilUtc=2999-01-01", 200),
    ("POST", "mark-critical", 200),
    ("DELETE", "mark-critical", 204),
]


@pytest.mark.parametrize(("method", "mark", "status"), MARKS)
async def test_all_stacks_that_can_be_changed_are_changed(
    api: RunningApi, method: str, mark: str, status: int
) -> None:
    """All: the usual answer. Some: 400 with a result for each id. None: 404."""
    await api.pool.execute("UPDATE stacks SET occurrences_are_critical = $1", method == "DELETE")
    unknown = [UUID(int=99).hex, FOREIGN.hex, "f" * 24, "x" * 32]
    some = ",".join([MINE.hex, *unknown, MINE_TOO.hex.upper(), MINE.hex])

    mixed = await api.request(method, f"/api/v2/stacks/{some}/{mark}", api.people.user)
    none = await api.request(method, f"/api/v2/stacks/{','.join(unknown)}/{mark}", api.people.user)
    whole = await api.request(method, f"/api/v2/stacks/{MINE.hex},{MINE.hex}/{mark}", api.people.user)

    assert (mixed.status, mixed.json["success"]) == (400, [MINE.hex, MINE_TOO.hex.upper()])
    assert [failure["id"] for failure in mixed.json["failure"]] == unknown
    assert {failure["status_code"] for failure in mixed.json["failure"]} == {404}
    assert (none.status, whole.status, whole.body) == (404, status, b"")
    changed = await api.pool.fetch("SELECT id FROM stacks WHERE updated_utc <> created_utc ORDER BY id")
    assert [row["id"] for row in changed] == [MINE, MINE_TOO]


@pytest.mark.parametrize("path", ["not-an-id-at-all-but-long-enough", "f" * 24, "short"])
async def test_an_invalid_id_is_not_found(api: RunningApi, path: str) -> None:
    """No route matches, or no stack."""
    assert (await api.get(f"/api/v2/stacks/{path}", api.people.user)).status == 404
    answer = await api.post(f"/api/v2/stacks/{path}/change-status?status=open", api.people.user)
    assert answer.status == 404


@pytest.mark.parametrize("status", [None, "", "regressed", "snoozed", "closed"])
async def test_a_status_that_cannot_be_set_is_invalid(api: RunningApi, status: str | None) -> None:
    """The answer lists the valid ones."""
    answer = await change(api, status, MINE)

    assert answer.status == 422
    problem: Any = answer.json
    assert problem["errors"] == {
        "status": ["The status field must be one of open, fixed, ignored, discarded."]
    }


async def test_stacks_need_the_scope_user(api: RunningApi) -> None:
    """A token that may only post can neither read nor change them."""
    assert (await change(api, "discarded", MINE, token=api.people.client)).status == 403
    assert (await api.get(f"/api/v2/stacks/{MINE.hex}", api.people.client)).status == 403
    assert (await api.get(f"/api/v2/stacks/{MINE.hex}")).status == 401


async def test_the_scope_global_reaches_all_stacks(api: RunningApi) -> None:
    assert (await change(api, "ignored", MINE, FOREIGN, token=api.people.admin)).status == 200
    assert await status_of(api, FOREIGN) == "ignored"


async def test_a_stack_is_fixed_in_a_version(api: RunningApi) -> None:
    """A second version replaces the first; without a version, none remains."""
    path = f"/api/v2/stacks/{MINE.hex}"

    for version in ("1.2.3", "1.3", None):
        parameters = {"version": version} if version else {}
        answer = await api.post(f"{path}/mark-fixed", api.people.program, params=parameters)
        assert (answer.status, answer.body) == (200, b"")
        view = (await api.get(path, api.people.user)).json
        assert (view["status"], view.get("fixed_in_version")) == ("fixed", version)
        assert view["date_fixed"] == view["updated_utc"]


@pytest.mark.parametrize("version", ["garbage", "1." + "1" * 199, "%00", "1.0%00"])
async def test_a_stack_is_not_fixed_in_an_invalid_version(api: RunningApi, version: str) -> None:
    """No event's version could be compared with it."""
    answer = await api.post(f"/api/v2/stacks/{MINE.hex}/mark-fixed?version={version}", api.people.user)

    assert answer.status == 400
    assert "1.2.3" in answer.json["errors"]["version"][0]
    assert await status_of(api, MINE) == "open"


@pytest.mark.parametrize("until", ["", "soon", "2020-01-01", "now"])
async def test_a_snooze_must_end_in_the_future(api: RunningApi, until: str) -> None:
    path = f"/api/v2/stacks/{MINE.hex}"

    refused = await api.post(f"{path}/mark-snoozed", api.people.user, params={"snoozeUntilUtc": until})
    snoozed = await api.post(f"{path}/mark-snoozed?snoozeUntilUtc=2999-01-01T10:00:00Z", api.people.user)

    assert refused.status == 422
    assert snoozed.status == 200
    view = (await api.get(path, api.people.user)).json
    assert (view["status"], view["snooze_until_utc"]) == ("snoozed", "2999-01-01T10:00:00Z")


async def test_a_stack_can_be_marked_critical_and_unmarked(api: RunningApi) -> None:
    """Independently of its status."""
    path = f"/api/v2/stacks/{MINE.hex}"

    marked = await api.post(f"{path},{MINE_TOO.hex}/mark-critical", api.people.user)
    critical = (await api.get(path, api.people.user)).json["occurrences_are_critical"]
    unmarked = await api.request("DELETE", f"{path}/mark-critical", api.people.user)

    assert (marked.status, critical, unmarked.status) == (200, True, 204)
    assert (await api.get(path, api.people.user)).json["occurrences_are_critical"] is False
    assert (await api.post(f"/api/v2/stacks/{FOREIGN.hex}/mark-critical", api.people.user)).status == 404
