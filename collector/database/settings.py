"""What a command that needs nothing but Postgres reads from the environment."""

from collector.process.settings import DatabaseUrl, Settings


class DatabaseSettings(Settings, frozen=True, kw_only=True):
    """Where Postgres is."""

    database_url: DatabaseUrl
