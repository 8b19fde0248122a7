"""The client configuration of a project: settings that clients fetch and partly the server applies.

Clients remember the highest version they have seen, as an int32, and fetch the settings again only for a
higher one.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from collector.domain.project.patterns import Patterns

DATA_EXCLUSIONS: Final = "@@DataExclusions"
BOT_PATTERNS: Final = "@@UserAgentBotPatterns"

NEW_PROJECT_SETTINGS: Final[Mapping[str, str]] = {
    BOT_PATTERNS: "*bot*,*crawler*,*spider*,*aolbuild*,*teoma*,*yahoo*"
}
"""The settings of a new project, at version 1: a client at version 0 fetches only a higher one."""

_INT32: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_LARGEST_INT32: Final = 2**31 - 1


def parse_config_version(text: str | None) -> int | None:
    """Parse the version that a client reports; None if it is not an int32, such as `undefined`."""
    text = (text or "").strip()
    number = int(text) if _INT32.fullmatch(text) else None
    return number if number is not None and abs(number) <= _LARGEST_INT32 else None


def setting_list(settings: Mapping[str, str], key: str) -> tuple[str, ...]:
    """The items of a comma-separated setting, without blanks and empty items."""
    return _split(settings.get(key, ""))


def setting_patterns(settings: Mapping[str, str], key: str) -> Patterns:
    """The patterns of a comma-separated setting."""
    return _compile(settings.get(key, ""))


# Compiling thousands of patterns takes milliseconds.
@lru_cache(maxsize=64)
def _compile(text: str) -> Patterns:
    return Patterns(_split(text))


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for item in text.split(",") if (part := item.strip()))
