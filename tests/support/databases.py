"""Databases for tests: copied from a migrated template, and reused if a test has left only rows behind.

Creating and dropping a database takes some 85 ms, emptying the few tables that a test has filled 10 ms.
Anything that a test changes besides rows (a partition, a constraint, a setting) shows in the catalog; then
its database is dropped.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from collector.database.schema.migrations import migrate

_TIMEOUT: Final = 30

_SCHEMA: Final = """
SELECT md5(concat_ws('|',
    (SELECT string_agg(concat_ws(' ', relname, relkind, reloptions), ',' ORDER BY oid) FROM pg_class
      WHERE relnamespace = 'public'::regnamespace),
    (SELECT string_agg(concat_ws(' ', attrelid, attname, atttypid, attnotnull, attisdropped), ','
                       ORDER BY attrelid, attnum)
       FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')),
    (SELECT string_agg(concat_ws(' ', oid, conname, convalidated), ',' ORDER BY oid) FROM pg_constraint),
    (SELECT string_agg(concat_ws(' ', oid, proname), ',' ORDER BY oid) FROM pg_proc WHERE oid >= 16384),
    (SELECT string_agg(concat_ws(' ', oid, tgname, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
    (SELECT string_agg(concat_ws(' ', setrole, setconfig), ',') FROM pg_db_role_setting
      WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))))
"""
"""A hash of everything that tests change besides rows; equal in all databases made from one template."""

_TABLES: Final = """
SELECT oid::regclass::text FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1
"""

_TERMINATE: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class MigratedDatabases:
    """Databases as `migrate` leaves them, on one server."""

    def __init__(self, server_url: str, template: str, kept: dict[str, str], schema: str) -> None:
        """Copies of `template`: `kept` has the hash of each table with rows, `schema` that of its catalog."""
        self._server_url = server_url
        self._template = template
        self._kept = kept
        self._schema = schema
        self._clean: list[str] = []

    @classmethod
    @asynccontextmanager
    async def on(cls, server_url: str) -> AsyncIterator[Self]:
        """Create the template, and drop it and all copies at the end."""
        async with separate_database(server_url) as url:
            await migrate(url)
            connection = await asyncpg.connect(url, timeout=_TIMEOUT)
            try:
                tables = [row[0] for row in await connection.fetch(_TABLES)]
                kept = {table: rows for table in tables if (rows := await _hash_of_rows(connection, table))}
                databases = cls(server_url, _name(url), kept, await connection.fetchval(_SCHEMA))
            finally:
                await connection.close()
            try:
                yield databases
            finally:
                for name in databases._clean:
                    await _drop(server_url, name)

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[str]:
        """The URL of a database that no other test uses; cleaned or dropped afterwards."""
        name = self._clean.pop() if self._clean else await _create(self._server_url, template=self._template)
        url = _url(self._server_url, name)
        is_clean = False
        try:
            yield url
            is_clean = await self._clean_up(url)
        finally:
            if is_clean:
                self._clean.append(name)
            else:
                await _drop(self._server_url, name)

    async def _clean_up(self, url: str) -> bool:
        """Empty the tables that are empty in the template; whether the database then equals it."""
        try:
            connection = await asyncpg.connect(url, timeout=_TIMEOUT)
        except (asyncpg.PostgresError, OSError):
            return False
        try:
            await connection.execute(_TERMINATE, timeout=_TIMEOUT)
            if await connection.fetchval(_SCHEMA) != self._schema:
                return False
            tables = [row[0] for row in await connection.fetch(_TABLES)]
            rows = " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})"  # noqa: S608 -- names from the catalog
                for table in tables
                if table not in self._kept
            )
            filled = [row[0] for row in await connection.fetch(rows)]
            if filled:
                await connection.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
            for sequence in await connection.fetch(
                "SELECT schemaname, sequencename FROM pg_sequences WHERE last_value IS NOT NULL"
            ):
                await connection.execute(f"ALTER SEQUENCE {sequence['sequencename']} RESTART")
            return all([await _hash_of_rows(connection, table) == was for table, was in self._kept.items()])
        finally:
            await connection.close()


@asynccontextmanager
async def separate_database(server_url: str) -> AsyncIterator[str]:
    """The URL of an empty database, dropped at the end."""
    name = await _create(server_url, template="template0")
    try:
        yield _url(server_url, name)
    finally:
        await _drop(server_url, name)


async def _create(server_url: str, *, template: str) -> str:
    name = f"headrace_test_{secrets.token_hex(6)}"
    await _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return name


async def _drop(server_url: str, name: str) -> None:
    await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server_url: str, statement: str) -> None:
    async with asyncio.timeout(_TIMEOUT):
        connection = await asyncpg.connect(server_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def _hash_of_rows(connection: asyncpg.Connection, table: str) -> str | None:
    """None for a table without rows."""
    rows: str | None = await connection.fetchval(
        f"SELECT md5(string_agg(whole::text, ',' ORDER BY whole::text)) FROM {table} AS whole"  # noqa: S608
    )
    return rows


def _url(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
