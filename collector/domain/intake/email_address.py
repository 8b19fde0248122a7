"""What counts as an e-mail address: the rule of the official server, and no other.

Clients do not repeat what is refused, so addresses within a company (`me@intranet`, `me@host.local`), which
the libraries for this refuse as not deliverable, must not cost a user's description.
"""

from typing import Final

_LINE_ENDS: Final = ("\r", "\n")


def is_email_address(text: str) -> bool:
    """Whether it has one `@`, not at either end, and is one line."""
    name, at, domain = text.partition("@")
    is_one_line = not any(end in text for end in _LINE_ENDS)
    return bool(name and at and domain) and "@" not in domain and is_one_line
