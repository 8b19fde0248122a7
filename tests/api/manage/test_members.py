"""The members of an organization."""

import asyncio

import pytest

from tests.api.running_api import EMAIL, OTHER_ORGANIZATION, Answer, RunningApi
from tests.database.rows import ORGANIZATION

pytestmark = pytest.mark.integration

PATH = f"/api/v2/organizations/{ORGANIZATION.hex}/users"


async def remove(api: RunningApi, email: str, token: str | None = None) -> Answer:
    """Remove a member."""
    return await api.request("DELETE", f"{PATH}/{email}", token or api.people.user)


async def test_members_are_listed_by_address(api: RunningApi) -> None:
    """In pages, with the total."""
    answer = await api.get(PATH, api.people.program)
    second = await api.get(f"{PATH}?limit=1&page=2", api.people.user)

    assert [user["email_address"] for user in answer.json] == ["admin@example.com", EMAIL]
    assert answer.headers["X-Result-Count"] == "2"
    assert [user["email_address"] for user in second.json] == [EMAIL]
    assert not {"has_local_account", "password_hash"} & answer.json[0].keys()


async def invited(api: RunningApi, email: str) -> str:
    """Invite them, in whatever spelling; returns the invitation's token."""
    answer = await api.post(f"{PATH}/{email}", api.people.user)
    assert (answer.status, answer.json) == (200, {"email_address": email.lower()})
    (view,) = (await api.get("/api/v2/organizations", api.people.user)).json
    return next(str(each["token"]) for each in view["invites"] if each["email_address"] == email.lower())


async def accept(api: RunningApi, invite_token: str, token: str) -> Answer:
    """Accept an invitation."""
    return await api.post("/api/v2/users/me/invitations", token, {"invite_token": invite_token})


async def test_people_become_members_only_when_they_accept(api: RunningApi) -> None:
    """Even with an account: otherwise strangers could put them into their organizations."""
    await invited(api, "stranger@example.com")

    members = (await api.get(PATH, api.people.user)).json
    (organization,) = (await api.get("/api/v2/organizations", api.people.stranger)).json

    assert "stranger@example.com" not in {member["email_address"] for member in members}
    assert organization["id"] == OTHER_ORGANIZATION.hex


async def test_members_are_not_invited_again(api: RunningApi) -> None:
    """200, and nothing changes."""
    assert (await api.post(f"{PATH}/{EMAIL}", api.people.admin)).status == 200

    (view,) = (await api.get("/api/v2/organizations", api.people.user)).json
    assert view["invites"] == []


async def test_an_invitation_is_accepted_once_while_logged_in(api: RunningApi) -> None:
    """An expired or used one is 404."""
    invite_token = await invited(api, "stranger@example.com")
    await api.pool.execute("UPDATE invitations SET created_utc = now() - interval '31 days'")
    late = await accept(api, invite_token, api.people.stranger)
    invite_token = await invited(api, "stranger@example.com")

    answer = await accept(api, invite_token, api.people.stranger)
    again = await accept(api, invite_token, api.people.admin)

    assert (late.status, answer.status, again.status) == (404, 200, 404)
    assert set(answer.json["organization_ids"]) == {ORGANIZATION.hex, OTHER_ORGANIZATION.hex}


async def test_a_withdrawn_invitation_cannot_be_accepted(api: RunningApi) -> None:
    """Also one to a person with an account."""
    invite_token = await invited(api, "stranger@example.com")

    assert (await remove(api, "stranger@example.com")).status == 200
    assert (await accept(api, invite_token, api.people.stranger)).status == 404


async def test_people_who_accept_join_with_all_their_tokens(api: RunningApi) -> None:
    """However the address is spelled. Ingest knows."""
    await accept(api, await invited(api, "STRANGER@example.com"), api.people.stranger)

    organizations = (await api.get("/api/v2/organizations", api.people.stranger)).json
    assert {view["id"] for view in organizations} == {ORGANIZATION.hex, OTHER_ORGANIZATION.hex}
    entry = (await api.parts.projection.find_token(api.people.stranger[:24])).entry
    assert entry is not None
    assert ORGANIZATION.bytes in entry.organization_ids


async def test_a_members_other_organizations_are_not_shown(api: RunningApi) -> None:
    """Except to a user with the global role."""
    await accept(api, await invited(api, "stranger@example.com"), api.people.stranger)

    for reader, expected in (
        (api.people.user, {ORGANIZATION.hex}),
        (api.people.program, {ORGANIZATION.hex}),
        (api.people.stranger, {ORGANIZATION.hex, OTHER_ORGANIZATION.hex}),
        (api.people.admin, {ORGANIZATION.hex, OTHER_ORGANIZATION.hex}),
    ):
        views = {view["email_address"]: view for view in (await api.get(PATH, reader)).json}
        assert set(views["stranger@example.com"]["organization_ids"]) == expected


async def test_an_address_without_an_account_is_invited(api: RunningApi) -> None:
    """The organization lists the invitation; a second one replaces it."""
    for _ in range(2):
        answer = await api.post(f"{PATH}/guest@example.com", api.people.user)
        assert (answer.status, answer.json) == (200, {"email_address": "guest@example.com"})
    (view,) = (await api.get("/api/v2/organizations", api.people.user)).json

    (invited,) = view["invites"]
    assert invited["email_address"] == "guest@example.com"
    assert len(invited["token"]) == 40
    assert invited["date_added"].endswith("Z")

    assert (await remove(api, "Guest@example.com")).status == 200
    (view,) = (await api.get("/api/v2/organizations", api.people.user)).json
    assert view["invites"] == []


async def test_a_program_sees_no_invitation(api: RunningApi) -> None:
    """With its token a program could sign up and manage tokens as a person."""
    await api.post(f"{PATH}/guest@example.com", api.people.user)
    path = f"/api/v2/organizations/{ORGANIZATION.hex}"

    assert len((await api.get(path, api.people.user)).json["invites"]) == 1
    assert (await api.get(path, api.people.program)).json["invites"] == []
    renamed = await api.request("PATCH", path, api.people.program, json={"name": "Acme 2"})
    assert renamed.json["invites"] == []


@pytest.mark.parametrize("email", ["nobody", "a@b@c", "%20", "me%0a@example.com"])
async def test_an_invalid_address_cannot_be_invited(api: RunningApi, email: str) -> None:
    """422."""
    answer = await api.post(f"{PATH}/{email}", api.people.user)

    assert answer.status == 422
    assert list(answer.json["errors"]) == ["email"]


async def test_a_removed_member_sees_nothing_any_more(api: RunningApi) -> None:
    """Here and at ingest. The login itself stays valid."""
    assert (await remove(api, "admin@example.com")).status == 200

    assert (await api.get("/api/v2/organizations", api.people.admin)).json == []
    entry = (await api.parts.projection.find_token(api.people.admin[:24])).entry
    assert entry is not None
    assert entry.organization_ids == ()


async def test_the_last_member_cannot_be_removed(api: RunningApi) -> None:
    """Also when the last two remove each other at the same time."""
    answers = await asyncio.gather(remove(api, EMAIL, api.people.admin), remove(api, "admin@example.com"))

    # The second is still a member (400), or was removed before the check (404).
    assert min(answer.status for answer in answers) == 200
    (left,) = (await api.get(PATH, api.people.admin)).json
    assert (await remove(api, left["email_address"], api.people.admin)).status == 400
    assert len((await api.get(PATH, api.people.admin)).json) == 1


async def test_removing_somebody_who_is_not_a_member_is_200(api: RunningApi) -> None:
    """So a repeat succeeds."""
    assert (await remove(api, "nobody@example.com")).status == 200
    assert (await remove(api, "stranger@example.com")).status == 200
    assert len((await api.get("/api/v2/organizations", api.people.stranger)).json) == 1


async def test_a_membership_that_cannot_be_published_is_503(api_without_redis: RunningApi) -> None:
    """It is stored, and the sweep publishes it."""
    api = api_without_redis

    invite_token = await invited(api, "stranger@example.com")

    assert (await accept(api, invite_token, api.people.stranger)).status == 503
    assert len((await api.get("/api/v2/organizations", api.people.stranger)).json) == 2
