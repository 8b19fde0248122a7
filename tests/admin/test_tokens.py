"""What operators can do with tokens while an api runs."""

import asyncio
from datetime import UTC, datetime

import pytest

from collector.admin import tokens
from collector.admin.tokens import TokenOptions
from collector.api.manage.token_view import TokenView
from collector.domain.errors import Conflict, Invalid, NotFound
from tests.api.running_api import RunningApi
from tests.database.rows import ORGANIZATION, PROJECT

pytestmark = pytest.mark.integration

BROUGHT = "my-own-client-key-0123456789abcdef"


async def test_a_token_that_may_read_is_shown_in_full_only_once(api: RunningApi) -> None:
    """Later, only its public part is shown."""
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    wanted = TokenOptions(organization=ORGANIZATION.hex, scopes=("user",), notes="reports", expires_utc=ends)

    made = await tokens.create(api.parts, wanted)

    shown = await tokens.show(api.parts, made.id[:24])
    assert (await api.get("/api/v2/projects", made.id)).status == 200
    assert (len(made.id), shown.id, shown.scopes) == (40, made.id[:24], ("user", "client"))
    assert (shown.notes, shown.expires_utc) == ("reports", ends)
    assert shown in await tokens.list_all(api.parts, organization=ORGANIZATION.hex)
    assert shown in await tokens.list_all(api.parts)
    assert shown not in await tokens.list_all(api.parts, project=PROJECT.hex)


async def test_the_same_existing_token_can_be_imported_only_once(api: RunningApi) -> None:
    """Also by two commands at the same time, and with another secret part."""
    wanted = TokenOptions(project=PROJECT.hex, value=BROUGHT)
    both = await asyncio.gather(
        tokens.create(api.parts, wanted), tokens.create(api.parts, wanted), return_exceptions=True
    )

    assert {type(one) for one in both} == {TokenView, Conflict}
    with pytest.raises(Conflict):
        await tokens.create(api.parts, TokenOptions(project=PROJECT.hex, value=f"{BROUGHT[:24]}-another"))
    assert (await api.get("/api/v2/projects", BROUGHT)).status == 403


@pytest.mark.parametrize(
    ("value", "scopes"),
    [
        pytest.param("short-key-0123", (), id="too short"),
        pytest.param("0123456789" * 5, (), id="too long"),
        pytest.param("key with blanks in it 0123456789", (), id="characters that no token has"),
        pytest.param("a" * 40, (), id="one character"),
        pytest.param("abcabcabcabcabcabcabcabcabcabcabc", (), id="a few characters"),
        pytest.param(BROUGHT, ("user",), id="a token that must be secret"),
        pytest.param(BROUGHT, ("client", "global"), id="a token that may do everything"),
    ],
)
async def test_an_unsuitable_token_is_not_imported(
    api: RunningApi, value: str, scopes: tuple[str, ...]
) -> None:
    """It must be hard to guess, and a secret must not be part of a command."""
    with pytest.raises(Invalid):
        await tokens.create(api.parts, TokenOptions(project=PROJECT.hex, scopes=scopes, value=value))

    assert not await api.known_to_ingest(value)


async def test_a_token_is_disabled_enabled_and_deleted_everywhere(api: RunningApi) -> None:
    """Ingest knows by the time the command returns."""
    name = api.people.program[:24]

    await tokens.change(api.parts, name, is_disabled=True)
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401
    await tokens.change(api.parts, name, is_disabled=False)
    assert (await api.get("/api/v2/projects", api.people.program)).status == 200
    assert await api.known_to_ingest(api.people.program)
    await tokens.delete(api.parts, name)
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401
    assert not await api.known_to_ingest(api.people.program)
    with pytest.raises(NotFound):
        await tokens.show(api.parts, name)


async def test_a_login_is_not_managed_as_a_token(api: RunningApi) -> None:
    """Nor is a token found by a prefix."""
    for name in (api.people.user[:24], f"{api.people.program[:24]}{'x' * 16}"):
        with pytest.raises(NotFound):
            await tokens.delete(api.parts, name)
