"""The entries that the sweep publishes to ingest."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from collector.database.owners.organizations import add_member, add_organization
from collector.database.owners.projection import load_projection
from collector.database.owners.projects import add_project
from collector.database.owners.tokens import Token, access_token, add_token, login_token
from collector.database.owners.users import User, add_user
from collector.domain.access.projection import OrganizationEntry, ProjectEntry
from collector.domain.access.token import TokenEntry, token_digest
from tests.database.rows import ORGANIZATION, PROJECT
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, tzinfo=UTC)
USER = UUID(int=1)


@pytest.fixture
async def filled(pool: asyncpg.Pool) -> asyncpg.Pool:
    """A database with an organization, a project and a user."""
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Acme")
        await add_project(connection, PROJECT, ORGANIZATION, "Shop")
        await add_user(connection, User(USER, "me@example.com", "Me", ("user", "client"), is_active=True))
        await add_member(connection, ORGANIZATION, USER)
    return pool


async def add(pool: asyncpg.Pool, token: Token) -> None:
    """Insert a token."""
    async with pool.acquire() as connection:
        await add_token(connection, token)


async def test_entries_have_all_that_ingest_needs(filled: asyncpg.Pool) -> None:
    """A program's token has its project; a login has the user's roles and organizations."""
    await filled.execute("UPDATE projects SET config_version = 7, settings = $1", b'{"@@log:*":"info"}')
    await filled.execute("UPDATE organizations SET is_suspended = true")
    expires = datetime(2099, 1, 1, tzinfo=UTC)
    await add(
        filled,
        access_token(
            "c" * 40,
            ("client",),
            NOW,
            organization_id=ORGANIZATION,
            project_id=PROJECT,
            expires_utc=expires,
        ),
    )
    await add(filled, login_token("u" * 40, USER, real_now()))

    found = await load_projection(filled)

    assert found.projects == {PROJECT.bytes: ProjectEntry(ORGANIZATION.bytes, 7, {"@@log:*": "info"})}
    assert found.organizations == {ORGANIZATION.bytes: OrganizationEntry(is_suspended=True)}
    assert found.tokens["c" * 24] == TokenEntry(
        digest=token_digest("c" * 40),
        scopes=("client",),
        organization_ids=(ORGANIZATION.bytes,),
        project_id=PROJECT.bytes,
        expires_ms=int(expires.timestamp() * 1000),
    )
    login = found.tokens["u" * 24]
    assert login.is_login
    assert login.user_id == USER.bytes
    assert login.scopes == ("user", "client")
    assert login.organization_ids == (ORGANIZATION.bytes,)
    assert login.project_id is None


async def test_a_program_that_acts_for_a_user_has_the_users_organizations(filled: asyncpg.Pool) -> None:
    """Its own scopes apply, or the user's roles if it has none."""
    await add(filled, access_token("s" * 40, ("client",), NOW, user_id=USER))
    await add(filled, access_token("n" * 40, (), NOW, user_id=USER))

    found = await load_projection(filled)

    assert found.tokens["s" * 24].scopes == ("client",)
    assert found.tokens["n" * 24].scopes == ("user", "client")
    assert found.tokens["n" * 24].organization_ids == (ORGANIZATION.bytes,)
    assert not found.tokens["n" * 24].is_login


async def test_invalid_tokens_are_left_out(filled: asyncpg.Pool) -> None:
    """Expired ones, disabled ones, and those of deactivated users."""
    owner = {"organization_id": ORGANIZATION, "project_id": PROJECT}
    past = real_now() - timedelta(seconds=1)
    await add(filled, access_token("e" * 40, ("client",), NOW, expires_utc=past, **owner))
    await add(filled, access_token("d" * 40, ("client",), NOW, is_disabled=True, **owner))
    await add(filled, login_token("u" * 40, USER, real_now()))
    await filled.execute("UPDATE users SET is_active = false")

    assert (await load_projection(filled)).tokens == {}


async def test_a_short_token_is_identified_by_all_of_it(filled: asyncpg.Pool) -> None:
    """Imported keys may be shorter than ours."""
    await add(filled, access_token("short-token", ("client",), NOW, organization_id=ORGANIZATION))

    assert list((await load_projection(filled)).tokens) == ["short-token"]
