"""The roles of an embedded Postgres: the application's owns its database and may do nothing beyond that.

The superuser exists because a cluster needs one. It has no password, so that logging in as it is impossible.
People who can read the data directory reach it in single-user mode, while the server is stopped.
"""

from typing import Final

SUPERUSER: Final = "postgres"
ROLE: Final = "headrace"
DATABASE: Final = "headrace"

_HELPER: Final = "headrace_upgrade"
_BOUNDS: Final = f"GRANT SET ON PARAMETER temp_file_limit, log_min_error_statement TO {ROLE}"
"""With these the application bounds what its own statements write to the disk."""
_BOOTSTRAP: Final = 10
"""The id of the role that created the cluster, which stays a superuser whatever its name."""


def first_commands(password: str, superuser_password: str | None) -> str:
    """What creates the application's role and database in a new cluster, one command a line.

    `superuser_password` is for tests, which create databases.
    """
    return _lines(
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'",
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        _BOUNDS,
        _superuser_password(superuser_password),
    )


def upgrade_commands(password: str, superuser_password: str | None) -> str:
    """What takes the superuser's rights from the application in a cluster of an earlier version.

    The role that created a cluster cannot lose them, so it gets another name, and the application a new role
    with the former name and password, which owns all that the former one has made. All commands can be
    repeated after a crash.
    """
    return _lines(
        f"DO $$ BEGIN CREATE ROLE {_HELPER} SUPERUSER; EXCEPTION WHEN duplicate_object THEN END $$",
        # A role cannot be renamed by itself.
        f"SET SESSION AUTHORIZATION {_HELPER}",
        f"DO $$ BEGIN IF {_BOOTSTRAP}::regrole::text = '{ROLE}' THEN"
        f" ALTER ROLE {ROLE} RENAME TO {SUPERUSER}; END IF; END $$",
        f"DO $$ BEGIN CREATE ROLE {ROLE}; EXCEPTION WHEN duplicate_object THEN END $$",
        f"ALTER ROLE {ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{password}'",
        f"ALTER DATABASE {DATABASE} OWNER TO {ROLE}",
        # REASSIGN OWNED refuses what the cluster's own role owns. Indexes, sequences of columns and what
        # belongs to extensions follow by themselves.
        f"""
        DO $$ DECLARE command text; BEGIN FOR command IN
            SELECT format('ALTER TABLE %s OWNER TO {ROLE}', oid::regclass) FROM pg_class
            WHERE relkind IN ('r', 'p', 'v', 'm') AND relowner = {_BOOTSTRAP} AND oid >= 16384
            AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
            UNION ALL
            SELECT format('ALTER ROUTINE %s OWNER TO {ROLE}', oid::regprocedure) FROM pg_proc
            WHERE proowner = {_BOOTSTRAP} AND oid >= 16384
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
        LOOP EXECUTE command; END LOOP; END $$
        """,  # noqa: S608 - constants only
        _BOUNDS,
        _superuser_password(superuser_password),
        "RESET SESSION AUTHORIZATION",
        f"DROP ROLE {_HELPER}",
    )


def _superuser_password(password: str | None) -> str:
    return f"ALTER ROLE {SUPERUSER} PASSWORD {'NULL' if password is None else repr(password)}"


def _lines(*commands: str) -> str:
    """In single-user mode a line is a command."""
    return "".join(" ".join(command.split()) + "\n" for command in commands)
