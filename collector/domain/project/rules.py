"""What a project's settings decide about its events: exclusions, bots, private information."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from collector.domain.project.client_settings import (
    BOT_PATTERNS,
    DATA_EXCLUSIONS,
    setting_patterns,
)

INCLUDE_PRIVATE_INFORMATION: Final = "@@IncludePrivateInformation"

_NO: Final = frozenset({"false", "no", "0"})
_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})


class ProjectRules:
    """A project's settings, parsed once and immutable."""

    __slots__ = (
        "bot_patterns",
        "delete_bot_data",
        "exclusions",
        "include_private_information",
        "leave_data_alone",
    )

    def __init__(self, settings: Mapping[str, str] = _NO_SETTINGS, *, delete_bot_data: bool = False) -> None:
        self.exclusions: Final = setting_patterns(settings, DATA_EXCLUSIONS)
        self.bot_patterns: Final = setting_patterns(settings, BOT_PATTERNS)
        self.include_private_information: Final = (
            settings.get(INCLUDE_PRIVATE_INFORMATION, "").strip().casefold() not in _NO
        )
        self.delete_bot_data: Final = delete_bot_data
        # With neither exclusions nor private information to remove, only errors and requests are changed.
        self.leave_data_alone: Final = self.include_private_information and not self.exclusions


DEFAULT_RULES: Final = ProjectRules()
"""The rules of a project without settings."""
