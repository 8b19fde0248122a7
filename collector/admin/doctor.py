"""`headrace doctor`: looks at versions, settings, both servers and the disk, and says what is wrong.

It changes nothing, and works while Redis, Postgres or both are gone: that is then a finding.
"""

import platform
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import asyncpg
import msgspec

from collector.admin.output import text_lines
from collector.admin.settings_page import KINDS
from collector.api.core.diagnosis import SILENT_SECONDS, Finding, judge_database, judge_queue
from collector.broker.connection import connect
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.queue.queue_condition import QueueCondition, read_queue_condition
from collector.database.errors import DatabaseUnavailable
from collector.database.pool import close_pool, connected, create_pool
from collector.database.schema.migrations import check_migrated
from collector.database.search.condition import read_database_condition
from collector.database.search.overview import read_overview
from collector.database.settings import DatabaseSettings
from collector.process.clock import Clock
from collector.process.lifecycle import StartError
from collector.process.settings import (
    SECRETS,
    RedisSettings,
    check_settings,
    read_settings,
    variable_of,
    without_password,
)

EXIT: Final = {"well": 0, "warning": 1, "broken": 2}

_WAIT_SECONDS: Final = 3.0
_DISK_WARNING_SHARE: Final = 0.2
_DISK_BROKEN_SHARE: Final = 0.05


class SettingView(msgspec.Struct, frozen=True, kw_only=True):
    """A variable that is set, where, what it holds (masked), and which commands read it."""

    variable: str
    source: Literal["environment", "headrace up"]
    value: str
    read_by: list[str]


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """The queue now; `workers` have asked for entries lately."""

    entries: int
    in_hand: int
    workers: int
    fsync: str
    eviction: str
    used_bytes: int | None
    limit_bytes: int


class DatabaseView(msgspec.Struct, frozen=True, kw_only=True):
    """What Postgres holds now, and its connections."""

    bytes: int
    partitions: int
    partitions_ahead: int
    index_days: int
    connections: int
    most_connections: int
    dead_letters: int
    held_posts: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the doctor has seen. A server that cannot be read has no view; a finding says why."""

    status: Literal["well", "warning", "broken"]
    findings: list[Finding]
    versions: dict[str, str]
    settings: list[SettingView]
    queue: QueueView | None
    database: DatabaseView | None


async def examine(
    environ: Mapping[str, str],
    clock: Clock,
    *,
    given: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
    silent_seconds: float = SILENT_SECONDS,
) -> Report:
    """Look at everything.

    `environ` names the servers. Where these are of a `headrace up`, `data_dir` is its directory and `given`
    the environment without them.
    """
    findings: list[Finding] = []
    versions = {"headrace": version("headrace"), "python": platform.python_version()}
    try:
        check_settings(KINDS.values(), environ)
    except StartError as error:
        findings += [
            Finding(
                level="broken",
                subject="settings",
                what=line,
                do="correct it: a process that reads it does not start",
            )
            for line in str(error).splitlines()
        ]
    findings += _disk(environ, data_dir)
    queue_view = database_view = None
    try:
        queue = await _read_queue(environ)
    except (BrokerUnavailable, BrokerFull, StartError) as error:
        findings.append(
            Finding(
                level="broken",
                subject="queue",
                what=f"Redis at {_shown('redis_url', environ)} cannot be read: {error}",
                do="start it, or correct the URL; until then posts are refused",
            )
        )
    else:
        versions["queue"] = queue.server
        findings += judge_queue(queue, clock.now(), silent_seconds=silent_seconds)
        queue_view = QueueView(
            entries=queue.entries,
            in_hand=sum(each.in_hand for each in queue.consumers),
            workers=len({each.name for each in queue.consumers if each.silent_seconds < silent_seconds}),
            fsync=queue.durability.fsync,
            eviction=queue.durability.eviction,
            used_bytes=queue.used_bytes,
            limit_bytes=queue.durability.maxmemory_bytes,
        )
    try:
        async with _pool(environ) as pool:
            await check_migrated(pool)
            async with connected(pool) as connection:
                database = await read_database_condition(connection)
                overview = await read_overview(connection, clock.now(), clock.now())
    except (DatabaseUnavailable, StartError, asyncpg.PostgresError) as error:
        findings.append(
            Finding(
                level="broken",
                subject="database",
                what=f"Postgres at {_shown('database_url', environ)} cannot be used: {error}",
                do="start or migrate it, or correct the URL; until then posts wait in the queue",
            )
        )
    else:
        versions["database"] = f"PostgreSQL {database.version}"
        findings += judge_database(database, overview, clock.now())
        database_view = DatabaseView(
            bytes=overview.database_bytes,
            partitions=overview.partitions,
            partitions_ahead=overview.partitions_ahead,
            index_days=sum(each.exists and not each.is_invalid for each in database.indexes),
            connections=database.connections,
            most_connections=database.most_connections,
            dead_letters=sum(each.letters for each in overview.dead_letters),
            held_posts=overview.held_posts,
        )
    return Report(
        status=max((each.level for each in findings), key=lambda level: EXIT[level], default="well"),
        findings=sorted(findings, key=lambda each: -EXIT[each.level]),
        versions=versions,
        settings=list(_settings(environ, environ if given is None else given)),
        queue=queue_view,
        database=database_view,
    )


def _disk(environ: Mapping[str, str], data_dir: Path | None) -> Iterator[Finding]:
    """The disks that can be seen from here: that of `headrace up`, and the queue's."""
    named = environ.get("HEADRACE_QUEUE_DISK")
    for folder in {each for each in (data_dir, Path(named) if named else None) if each is not None}:
        try:
            usage = shutil.disk_usage(folder)
        except OSError as error:
            yield Finding(
                level="warning",
                subject="disk",
                what=f"{folder} cannot be read: {error.strerror}",
                do="correct the path, or its permissions",
            )
            continue
        if usage.free < usage.total * _DISK_WARNING_SHARE:
            yield Finding(
                level="broken" if usage.free < usage.total * _DISK_BROKEN_SHARE else "warning",
                subject="disk",
                what=f"the disk of {folder} has {usage.free} of {usage.total} bytes left",
                do="free space, keep events for fewer days, or use a larger disk",
            )


async def _read_queue(environ: Mapping[str, str]) -> QueueCondition:
    settings = read_settings(RedisSettings, environ)
    redis = connect(settings.redis_url, socket_timeout_seconds=_WAIT_SECONDS)
    try:
        return await read_queue_condition(redis, RedisKeys(settings.redis_key_prefix))
    finally:
        await redis.aclose()


@asynccontextmanager
async def _pool(environ: Mapping[str, str]) -> AsyncIterator[asyncpg.Pool]:
    pool = await create_pool(
        read_settings(DatabaseSettings, environ).database_url,
        max_size=1,
        application_name="headrace doctor",
        wait_seconds=_WAIT_SECONDS,
    )
    try:
        yield pool
    finally:
        await close_pool(pool)


def _settings(environ: Mapping[str, str], given: Mapping[str, str]) -> Iterator[SettingView]:
    """Every variable of ours that is set; defaults are in docs/settings.md."""
    commands: dict[str, list[str]] = {}
    for command, kind in KINDS.items():
        for field in msgspec.structs.fields(kind):
            commands.setdefault(field.name, []).append(command)
    for name, read_by in sorted(commands.items()):
        variable = variable_of(name, environ)
        if value := environ.get(variable):
            shown = without_password(value) if name in SECRETS else value
            yield SettingView(
                variable=variable,
                source="environment" if variable in given else "headrace up",
                value=shown,
                read_by=read_by,
            )


def _shown(name: str, environ: Mapping[str, str]) -> str:
    """The server's URL without its password, and the variable that it is from."""
    variable = variable_of(name, environ)
    return f"{without_password(environ.get(variable, '')) or 'no URL'} ({variable})"


def text_report(report: Report) -> str:
    """The report for people: what is wrong first."""
    lines = [f"{name}: {text}" for name, text in report.versions.items()]
    for view, name in ((report.queue, "queue"), (report.database, "database")):
        if view is not None:
            members = msgspec.to_builtins(view)
            lines.append(f"{name} has " + ", ".join(f"{key} {value}" for key, value in members.items()))
    lines += [f"{each.variable}={each.value} ({each.source})" for each in report.settings]
    lines += [""]
    for each in report.findings:
        lines += [f"{each.level.upper()}  {each.subject}: {each.what}", f"    {each.do}"]
    lines.append({"well": "All is well.", "warning": "Warnings only."}.get(report.status, "Broken."))
    return text_lines(lines)
