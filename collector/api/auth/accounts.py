"""Creating users, for the api and the command line: the first user gets the scope `global`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from collector.api.core.service import Api
from collector.database.owners.invitations import accept, is_first_invitation, is_invited
from collector.database.owners.users import User, add_user, has_users, is_first_user
from collector.database.pool import connected
from collector.domain.access.scope import CLIENT, GLOBAL, USER, with_implied
from collector.domain.errors import Forbidden


@dataclass(frozen=True, slots=True)
class SignUpRule:
    """Who may sign up: the first user and, unless sign-up is open, all others with an invitation only.

    Otherwise the first stranger to reach a new server would own it.
    """

    is_open: bool
    invite_token: str | None

    async def permits(self, connection: asyncpg.Connection, now: datetime) -> bool:
        """Whether these people may sign up, as far as can be said before the password is hashed."""
        if not await has_users(connection):
            return await self.permits_first(connection)
        return self.is_open or (
            self.invite_token is not None and await is_invited(connection, self.invite_token, now)
        )

    async def permits_first(self, connection: asyncpg.Connection) -> bool:
        """Whether they may become the first user."""
        return self.invite_token is not None and await is_first_invitation(connection, self.invite_token)


async def add_account(
    api: Api,
    email_address: str,
    full_name: str,
    password: str,
    roles: Sequence[str] = (USER, CLIENT),
    *,
    rule: SignUpRule | None = None,
) -> User | None:
    """Create a user with these roles and those they imply; None if the address has just been taken.

    A `rule` holds for those who sign up; an invitation that it requires is accepted in the same transaction.
    Raises Forbidden, and creates no user, if the rule does not permit it; Unavailable if too many passwords
    are being checked.
    """
    password_hash = await api.passwords.hashed(password)
    async with connected(api.pool) as connection, connection.transaction():
        is_first = await is_first_user(connection)
        # The first person who signs up becomes the administrator: only with the operator's invitation.
        if is_first and rule is not None and not await rule.permits_first(connection):
            raise sign_up_disabled()
        user = User(
            id=api.new_id(),
            email_address=email_address,
            full_name=full_name.strip(),
            roles=with_implied([GLOBAL] if is_first else roles),
            is_active=True,
            password_hash=password_hash,
        )
        if not await add_user(connection, user):
            return None
        # An invitation is used up in the same transaction, so that it makes one account only.
        if rule is not None and not rule.is_open and not is_first:
            token = rule.invite_token or ""
            if not await accept(connection, token, user.id, api.clock.now()):
                raise sign_up_disabled()
        return user


def sign_up_disabled() -> Forbidden:
    """The refusal of people without an invitation while sign-up is disabled (contract 1.4)."""
    return Forbidden("Account Creation is currently disabled")
