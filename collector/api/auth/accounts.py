"""Creating users, for the api and the command line: the first user gets the scope `global`."""

from collections.abc import Sequence

from collector.api.core.service import Api
from collector.database.owners.invitations import accept
from collector.database.owners.users import User, add_user, is_first_user
from collector.database.pool import connected
from collector.domain.access.scope import CLIENT, GLOBAL, USER, with_implied
from collector.domain.errors import Forbidden


async def add_account(
    api: Api,
    email_address: str,
    full_name: str,
    password: str,
    roles: Sequence[str] = (USER, CLIENT),
    *,
    required_invitation: str | None = None,
) -> User | None:
    """Create a user with these roles and those they imply; None if the address has just been taken.

    A `required_invitation` is accepted in the same transaction. Raises Forbidden, and creates no user, if it
    is no longer valid; Unavailable if too many passwords are being checked.
    """
    password_hash = await api.passwords.hashed(password)
    async with connected(api.pool) as connection, connection.transaction():
        user = User(
            id=api.new_id(),
            email_address=email_address,
            full_name=full_name.strip(),
            roles=with_implied([GLOBAL] if await is_first_user(connection) else roles),
            is_active=True,
            password_hash=password_hash,
        )
        if not await add_user(connection, user):
            return None
        if required_invitation is not None and not await accept(
            connection, required_invitation, user.id, api.clock.now()
        ):
            raise sign_up_disabled()
        return user


def sign_up_disabled() -> Forbidden:
    """The refusal of people without an invitation while sign-up is disabled (contract 1.4)."""
    return Forbidden("Account Creation is currently disabled")
