"""The settings of a process, as a table for people."""

from typing import Annotated

from msgspec import Meta

from collector.process.settings import Settings
from collector.process.settings_table import settings_table


class IngestSettings(Settings, frozen=True, kw_only=True):
    port: Annotated[int, Meta(description="a port number")] = 8080
    proxies: tuple[str, ...] = ()
    is_open: bool = True


class StoreSettings(Settings, frozen=True, kw_only=True):
    host: str = ""
    database_url: str
    port: Annotated[int, Meta(description="a port number")] = 8081


def test_each_variable_is_listed_once_with_its_default_and_its_rule() -> None:
    """Required ones come first. If two classes have a variable, the first one counts."""
    assert settings_table((IngestSettings, StoreSettings)) == (
        "  HEADRACE_DATABASE_URL  required  text\n"
        "  HEADRACE_LOG_FORMAT    auto      one of auto, console, json\n"
        "  HEADRACE_LOG_LEVEL     info      one of debug, info, warning, error\n"
        "  HEADRACE_PORT          8080      a port number\n"
        "  HEADRACE_PROXIES       -         a comma-separated list\n"
        "  HEADRACE_IS_OPEN       true      true or false\n"
        "  HEADRACE_HOST          -         text\n"
    )
