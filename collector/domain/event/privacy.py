"""What an event must not tell of a person where its project says so (`@@IncludePrivateInformation`: false).

Gone are who the user is, the address of a mail, of the machine and of the sender, and the machine's name.
What a request holds of it is the request's rule.
"""

import re
from typing import Any, Final

from collector.domain.event.data import SUBMISSION_CLIENT
from collector.domain.event.geo import is_address

_DESCRIPTION: Final = "@user_description"
_OF_THE_MACHINE: Final = ("ip_address", "machine_name")
_MISPLACED: Final = re.compile(r"_+@(?:user|user_description|environment|request)[0-9]*")
"""Such an object, of a wrong type and therefore under another name: nobody knows what it tells."""


def remove_private(data: dict[str, Any]) -> None:
    """Remove it from an event's data, in place."""
    for name in [name for name in data if _MISPLACED.fullmatch(name)]:
        del data[name]
    data.pop("@user", None)
    if is_address(data.get("geo")):
        del data["geo"]
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
