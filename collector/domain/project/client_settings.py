"""The client configuration of a project: settings that its clients fetch, and those that the server obeys.

Clients keep the greatest version that they saw, as an int32, and ask again only for a greater one.
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
"""What a project begins with, at version 1: a client at 0 would never ask."""

_INT32: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_LARGEST_INT32: Final = 2**31 - 1


def parse_config_version(text: str | None) -> int | None:
    """The version that a client says it has; None for what is no int32, as one without settings sends."""
    text = (text or "").strip()
    number = int(text) if _INT32.fullmatch(text) else None
    return number if number is not None and abs(number) <= _LARGEST_INT32 else None


def listed(settings: Mapping[str, str], key: str) -> tuple[str, ...]:
    """The parts of a setting that is a list, separated by commas."""
    return _parts(settings.get(key, ""))


def setting_patterns(settings: Mapping[str, str], key: str) -> Patterns:
    """The patterns of a setting that is a list of them."""
    return _patterns(settings.get(key, ""))


@lru_cache(maxsize=64)
def _patterns(text: str) -> Patterns:
    """Thousands of patterns take milliseconds."""
    return Patterns(_parts(text))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for each in text.split(",") if (part := each.strip()))
