"""Removes personal data from events of projects that ask for it (`@@IncludePrivateInformation`: false).

Removes the user, the e-mail address of a description, the IP addresses of the machine and the sender, and the
machine's name. `collector.domain.event.request` handles requests.
"""

import re
from typing import Any, Final

from collector.domain.event.data import SUBMISSION_CLIENT
from collector.domain.event.geo import is_address

_DESCRIPTION: Final = "@user_description"
_OF_THE_MACHINE: Final = ("ip_address", "machine_name")
_MISPLACED: Final = re.compile(r"_+@(?:user|user_description|environment|request)[0-9]*")
"""A known object of the wrong type, stored under another name: it may contain anything."""


def remove_private(data: dict[str, Any]) -> None:
    """Remove personal data from an event's data, in place."""
    for name in [name for name in data if _MISPLACED.fullmatch(name)]:
        del data[name]
    data.pop("@user", None)
    if is_address(data.get("geo")):
        del data["geo"]
    # The description itself is the user's own choice; without it the object says nothing.
    description = data.get(_DESCRIPTION)
    if isinstance(description, dict):
        description.pop("email_address", None)
        if not description.get("description"):
            del data[_DESCRIPTION]
    environment = data.get("@environment")
    if isinstance(environment, dict):
        for name in _OF_THE_MACHINE:
            environment.pop(name, None)
    client = data[SUBMISSION_CLIENT]
    data[SUBMISSION_CLIENT] = {name: text for name, text in client.items() if name != "ip_address"}
