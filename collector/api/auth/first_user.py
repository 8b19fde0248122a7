"""Tells the operator how to create the first user, who must not be the first stranger to reach the server."""

import sys

from collector.api.core.service import Api
from collector.database.owners.invitations import first_invitation
from collector.database.pool import connected
from collector.domain.access.token import new_token


async def announce_first_invitation(api: Api) -> None:
    """Print the first invitation while there are no users. All processes of an installation print the same.

    It is printed, not logged: logs go to more people, and mask secrets.
    """
    async with connected(api.pool) as connection, connection.transaction():
        token = await first_invitation(connection, new_token())
    if token is not None:
        sys.stderr.write(
            "There are no users yet. Create the first one, who may do everything, with `headrace user create`"
            f', or sign up with "invite_token": "{token}" (works once).\n'
        )
        sys.stderr.flush()
