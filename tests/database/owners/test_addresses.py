"""The address of an account has one spelling."""

from uuid import UUID

import asyncpg
import pytest

from collector.database.owners.users import User, add_user, find_user, normal_email
from collector.database.schema import migrations

pytestmark = pytest.mark.integration

WIDE = "\uff2d\uff25@\uff25xample.com"  # ME@Example.com in full-width letters


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" ME@Example.COM ", id="case and space"),
        pytest.param(WIDE, id="full-width letters"),
        pytest.param("\u3000\xa0me@example.com\u3000", id="wide space"),
        pytest.param("me@\u24d4xample.com", id="a letter in a circle"),
    ],
)
def test_variants_are_one_address(text: str) -> None:
    assert normal_email(text) == "me@example.com"
    assert normal_email(normal_email(text)) == normal_email(text)


async def _add(connection: asyncpg.Connection, number: int, email: str) -> bool:
    return await add_user(connection, User(UUID(int=number), email, "Me", ("user",), is_active=True))


async def test_full_width_letters_make_no_second_account(pool: asyncpg.Pool) -> None:
    """They find the first one."""
    async with pool.acquire() as connection:
        assert await _add(connection, 1, "me@example.com")
        assert not await _add(connection, 2, WIDE)
        found = await find_user(connection, WIDE)

    assert found is not None
    assert found.id == UUID(int=1)


async def test_earlier_addresses_are_normalized_unless_that_is_taken(pool: asyncpg.Pool) -> None:
    """Then the account that has it keeps it."""
    circled = "\u24e8ou@example.com"
    commands = migrations._FOLDER.joinpath("0028_normal_addresses.sql").read_text()
    async with pool.acquire() as connection:
        await _add(connection, 1, "me@example.com")
        for number, email in ((2, WIDE.lower()), (3, circled), (4, "\uff59ou@example.com")):
            await connection.execute(
                "INSERT INTO users (id, email_address, full_name, roles, is_active)"
                " VALUES ($1, $2, '', '{}', true)",
                UUID(int=number),
                email,
            )
        await connection.execute(commands)
        rows = await connection.fetch("SELECT email_address FROM users ORDER BY id")

    addresses = [row["email_address"] for row in rows]
    assert addresses == ["me@example.com", WIDE.lower(), "you@example.com", "\uff59ou@example.com"]
