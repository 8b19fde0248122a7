"""The settings of commands that need nothing but Postgres."""

from collector.process.settings import DatabaseUrl, Settings


class DatabaseSettings(Settings, frozen=True, kw_only=True):
    """The address of Postgres."""

    database_url: DatabaseUrl
