"""Which texts are accepted as a user's e-mail address: the syntax rules of `email_validator`, without DNS.

Addresses on a private network (`me@intranet`, `me@host.local`) are accepted: that is where Headrace runs.
"""

import re
from typing import Final

import email_validator

_LOCAL_DOMAIN: Final = re.compile(r"(?<=[@.\u3002\uff0e\uff61])local(host)?$", re.IGNORECASE)
_STAND_IN: Final = r"intra\1"


def email_error(text: str) -> str | None:
    """What is wrong with an address, as a sentence; None if it is valid."""
    # The library rejects `local` and `localhost` and has no argument to allow them. Validate the address with
    # an accepted name of the same length instead, so that every other rule still applies.
    address = _LOCAL_DOMAIN.sub(_STAND_IN, text.strip())
    try:
        email_validator.validate_email(
            address, check_deliverability=False, globally_deliverable=False, strict=True
        )
    except email_validator.EmailNotValidError as error:
        return str(error)
    return None
