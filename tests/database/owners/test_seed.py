"""The first organization, project, user and tokens are created once."""

from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from collector.database.owners.deletion import delete_projects
from collector.database.owners.projection import load_projection
from collector.database.owners.seed import Seed, seed
from collector.database.owners.tokens import delete_tokens
from collector.domain.access.password import hash_password, is_password
from collector.domain.access.token import lookup_prefix, new_token

pytestmark = pytest.mark.integration


def a_seed() -> Seed:
    """New ids and secrets."""
    return Seed(
        email="admin@example.com",
        password="correct horse",
        user_token=new_token(),
        client_token=new_token(),
        organization_id=uuid4().hex,
        project_id=uuid4().hex,
    )


async def test_a_new_database_is_seeded(pool: asyncpg.Pool, database_url: str) -> None:
    """The user has the global role, the client token may post, and both belong to the organization."""
    wanted = a_seed()

    assert await seed(database_url, wanted) == wanted

    projection = await load_projection(pool)
    assert projection.tokens[lookup_prefix(wanted.client_token)].scopes == ("client",)
    login = projection.tokens[lookup_prefix(wanted.user_token)]
    assert login.is_login
    assert login.allows("global")
    assert [packed.hex() for packed in login.organization_ids] == [wanted.organization_id]
    assert [packed.hex() for packed in projection.projects] == [wanted.project_id]


async def test_the_second_time_changes_nothing(pool: asyncpg.Pool, database_url: str) -> None:
    """Every start seeds."""
    wanted = a_seed()
    await seed(database_url, wanted)

    assert await seed(database_url, wanted) == wanted
    for table in ("organizations", "projects", "users", "organization_members"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 1  # noqa: S608 - names above
    assert await pool.fetchval("SELECT count(*) FROM tokens") == 2


async def test_a_start_prolongs_the_login(pool: asyncpg.Pool, database_url: str) -> None:
    """So the printed token works as long as the installation is used."""
    wanted = a_seed()
    await seed(database_url, wanted)
    await pool.execute("UPDATE tokens SET expires_utc = now() WHERE kind = 'login'")

    assert await seed(database_url, wanted) == wanted
    assert await pool.fetchval(
        "SELECT expires_utc > now() + interval '89 days' FROM tokens WHERE kind = 'login'"
    )


async def test_revoked_tokens_stay_revoked(pool: asyncpg.Pool, database_url: str) -> None:
    """New ones replace them and are returned; later starts keep those."""
    wanted = a_seed()
    await seed(database_url, wanted)
    async with pool.acquire() as connection:
        await delete_tokens(
            connection, [lookup_prefix(wanted.client_token), lookup_prefix(wanted.user_token)]
        )

    found = await seed(database_url, wanted)

    assert found.client_token != wanted.client_token
    assert found.user_token != wanted.user_token
    tokens = (await load_projection(pool)).tokens
    assert set(tokens) == {lookup_prefix(found.client_token), lookup_prefix(found.user_token)}
    assert await seed(database_url, found) == found


async def test_a_changed_password_is_not_changed_back(pool: asyncpg.Pool, database_url: str) -> None:
    """The answer has no password then."""
    wanted = a_seed()
    await seed(database_url, wanted)
    await pool.execute("UPDATE users SET password_hash = $1", hash_password("another one"))

    found = await seed(database_url, wanted)

    assert found == replace(wanted, password="")
    assert await seed(database_url, found) == found
    assert is_password(await pool.fetchval("SELECT password_hash FROM users"), "another one")


async def test_no_user_is_created_with_an_empty_password(pool: asyncpg.Pool, database_url: str) -> None:
    """If the database was lost but the credentials were kept."""
    found = await seed(database_url, replace(a_seed(), password=""))

    assert found.password
    assert is_password(await pool.fetchval("SELECT password_hash FROM users"), found.password)


async def test_a_second_installation_shares_the_user(pool: asyncpg.Pool, database_url: str) -> None:
    """A second data directory on the same database has its own organization and the same user."""
    first, second = a_seed(), a_seed()
    await seed(database_url, first)

    assert await seed(database_url, second) == second
    assert await pool.fetchval("SELECT count(*) FROM users") == 1
    assert await pool.fetchval("SELECT count(*) FROM organization_members") == 2


async def test_a_deleted_project_does_not_come_back(pool: asyncpg.Pool, database_url: str) -> None:
    """Its events are being purged, so the next start creates another project."""
    wanted = a_seed()
    await seed(database_url, wanted)
    async with pool.acquire() as connection:
        await delete_projects(connection, [UUID(wanted.project_id)])

    again = await seed(database_url, wanted)

    assert again.project_id != wanted.project_id
    assert await seed(database_url, again) == again
    assert [row["id"].hex for row in await pool.fetch("SELECT id FROM projects")] == [again.project_id]
