"""New users, whoever makes them: the first of all may do everything, whoever comes later his own."""

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
    let_in_by: str | None = None,
) -> User | None:
    """The new user, with these roles or more; None where somebody has just taken the address.

    `let_in_by` is the invitation that the account is made for: it is accepted with it, or there is none.
    Raises Forbidden when somebody else was faster, Unavailable when too many passwords are being checked.
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
        if let_in_by is not None and not await accept(connection, let_in_by, user.id, api.clock.now()):
            raise sign_up_disabled()
        return user


def sign_up_disabled() -> Forbidden:
    """What everybody is told who is not invited where sign-up is switched off (contract 1.4)."""
    return Forbidden("Account Creation is currently disabled")
