"""What may be a user's e-mail address: the library's rule, asking no DNS.

Addresses within a company or a house (`me@intranet`, `me@host.local`) are right, too: that is where it runs.
"""

from typing import Final

import email_validator

_AT_HOME: Final = ("local", "localhost")

# The library has no argument for this and documents that the list may be changed.
email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = [
    name for name in email_validator.SPECIAL_USE_DOMAIN_NAMES if name not in _AT_HOME
]


def email_error(text: str) -> str | None:
    """What is wrong with an address, as a sentence; None for one that is right."""
    try:
        email_validator.validate_email(
            text.strip(), check_deliverability=False, globally_deliverable=False, strict=True
        )
    except email_validator.EmailNotValidError as error:
        return str(error)
    return None
