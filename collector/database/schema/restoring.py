"""Restores a whole database from an archive of `pg_dump`, in one transaction of psql.

Everything of ours is dropped and made again before the commit: readers and workers see the former database or
the restored one, and a restore that fails changes nothing. What the others would still remember of the former
one goes with their connections.
"""

from typing import Final

import asyncpg

from collector.database.errors import translated

MARK: Final = "schema_migrations"
"""The table that shows that a database, or an archive, is one of ours."""

_VERSIONS_AT_LEAST: Final = 1000
"""Clients that saw a later version than the backup's keep it: after a restore all versions are above it."""

_TERMINATE: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    AND backend_type = 'client backend';
"""
# Temporary functions and tables disappear with the session.
BEFORE: Final = f"""
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE TEMPORARY TABLE former_projects (id uuid, config_version bigint) ON COMMIT DROP;
{_TERMINATE}
DO $$
DECLARE name text;
BEGIN
    -- All locks first: who holds one of them and wants another can only be among the connections that ended.
    FOR name IN
        SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY oid
    LOOP
        EXECUTE 'LOCK TABLE ' || name || ' IN ACCESS EXCLUSIVE MODE';
    END LOOP;
    IF to_regclass('public.projects') IS NOT NULL THEN
        EXECUTE 'INSERT INTO former_projects SELECT id, config_version FROM public.projects';
    END IF;
    FOR name IN
        SELECT 'TABLE IF EXISTS ' || oid::regclass FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
        UNION ALL
        SELECT 'ROUTINE IF EXISTS ' || oid::regprocedure FROM pg_proc p
        WHERE pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
    LOOP
        EXECUTE 'DROP ' || name || ' CASCADE';
    END LOOP;
END $$;
"""  # noqa: S608 - constants only
"""Sent before the archive's commands: begins the transaction and empties the database."""

AFTER: Final = f"""
UPDATE public.projects p SET config_version = {_VERSIONS_AT_LEAST} + greatest(p.config_version,
    (SELECT f.config_version FROM pg_temp.former_projects f WHERE f.id = p.id));
{_TERMINATE}
COMMIT;
"""  # noqa: S608 - constants only
"""Sent after the archive's commands, and only if all of them were read: without it nothing is changed."""


async def former_contents(connection: asyncpg.Connection) -> tuple[bool, list[str]]:
    """Whether the database is one of ours, and what else it contains: the names of some tables."""
    with translated():
        names = [
            row["relname"]
            for row in await connection.fetch(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relname LIMIT 1000"
            )
        ]
    return MARK in names, names


async def other_processes(connection: asyncpg.Connection) -> list[str]:
    """The names of the processes that are connected to this database now, besides this one."""
    with translated():
        return [
            row["application_name"]
            for row in await connection.fetch(
                "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> ''"
                " ORDER BY application_name"
            )
        ]
