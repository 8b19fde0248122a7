"""Validates e-mail addresses by the same lenient rule as the official server.

Validation libraries reject internal addresses (`me@intranet`, `me@host.local`) as undeliverable. Clients do
not retry a refused description, so such a rule would lose it.
"""

from typing import Final

_LINE_ENDS: Final = ("\r", "\n")


def is_email_address(text: str) -> bool:
    """Whether the text is a single line with exactly one `@`, not at either end."""
    name, at, domain = text.partition("@")
    is_one_line = not any(end in text for end in _LINE_ENDS)
    return bool(name and at and domain) and "@" not in domain and is_one_line
