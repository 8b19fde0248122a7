"""`headrace doctor` on a healthy system and on broken ones: real servers, hurt one way at a time."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from collector.admin.doctor import EXIT, Report, examine, text_report
from collector.api.core.diagnosis import Finding
from collector.broker.keys import GROUP, RedisKeys
from collector.broker.queue.shards import make_groups
from collector.database.pool import close_pool, create_pool
from collector.database.schema.partitions import maintain_partitions
from collector.embedded.servers.ports import free_port
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from collector.process.clock import Clock
from tests.support.fakes import clock_of
from tests.support.real_clock import SystemClock, real_now
from tests.support.waiting import until

pytestmark = pytest.mark.integration

SILENT_SECONDS = 0.3
"""After which a worker counts as silent, instead of a minute."""


@dataclass(slots=True)
class System:
    """A Redis and a Postgres, and a worker that is about to ask for entries again."""

    redis: Redis
    environ: dict[str, str]
    keys: RedisKeys = field(default_factory=RedisKeys)

    async def worker_asks(self, name: str = "live") -> None:
        """A worker reads, and is thereby alive."""
        stream = self.keys.stream(0)
        await self.redis.xreadgroup(GROUP, name, {stream: ">"}, count=1)

    async def examined(self, clock: Clock | None = None, given: Mapping[str, str] | None = None) -> Report:
        """What the doctor says while a worker is alive."""
        await self.worker_asks()
        return await examine(self.environ, clock or SystemClock(), given=given, silent_seconds=SILENT_SECONDS)


@pytest.fixture
async def system(tmp_path: Path, database_url: str) -> AsyncIterator[System]:
    """A healthy one, on a Valkey of its own."""
    service = Valkey(tmp_path, queue_memory_mb=64)
    child = await start_service(service)
    pool = await create_pool(database_url, max_size=1)
    await maintain_partitions(pool, retention_days=90, days_ahead=3)
    await close_pool(pool)
    async with Redis.from_url(service.url) as redis:
        found = System(redis, {"HEADRACE_REDIS_URL": service.url, "DATABASE_URL": database_url})
        await make_groups(redis, found.keys, 0)
        yield found
    await child.stop()


def findings(report: Report) -> list[Finding]:
    """Without the one about the tests' own Postgres, which does not sync, to be fast."""
    return [each for each in report.findings if not each.what.startswith("Postgres runs with fsync")]


def said(report: Report) -> list[tuple[str, str]]:
    return [(each.level, each.subject) for each in findings(report)]


async def test_a_healthy_system_is_well(system: System) -> None:
    """It shows versions, what is set and from where, and numbers; no password."""
    report = await system.examined(given={"DATABASE_URL": ""})

    assert findings(report) == []
    assert report.versions["database"].startswith("PostgreSQL 1")
    assert report.versions["queue"].startswith("Valkey ")
    assert report.queue is not None
    assert (report.queue.workers, report.queue.fsync, report.queue.entries) == (1, "always", 0)
    assert report.database is not None
    assert report.database.partitions_ahead == 3
    shown = {each.variable: (each.source, "***" in each.value) for each in report.settings}
    assert shown["HEADRACE_REDIS_URL"] == ("headrace up", True)
    assert shown["DATABASE_URL"][0] == "environment"
    password = system.environ["HEADRACE_REDIS_URL"].split(":")[2].split("@")[0]
    for text in (text_report(report), msgspec.json.encode(report).decode()):
        assert password not in text


async def test_it_says_that_accepted_events_may_be_lost_without_fsync(system: System) -> None:
    await system.redis.config_set("appendfsync", "everysec")

    report = await system.examined()

    assert said(report) == [("broken", "durability")]
    assert "appendfsync is everysec" in findings(report)[0].what
    assert EXIT[report.status] == 2
    assert "BROKEN  durability: appendfsync is everysec" in text_report(report)


async def test_it_says_that_nothing_bounds_the_memory(system: System) -> None:
    await system.redis.config_set("maxmemory", 0)

    assert said(await system.examined()) == [("broken", "memory")]


async def test_it_says_that_the_memory_is_nearly_full(system: System) -> None:
    used = (await system.redis.info("memory"))["used_memory"]
    await system.redis.config_set("maxmemory", int(used * 1.07))

    assert said(await system.examined()) == [("broken", "memory")]


async def test_it_works_without_postgres(system: System) -> None:
    """And says where the URL is from, without its password."""
    system.environ["DATABASE_URL"] = f"postgresql://me:secret@127.0.0.1:{free_port()}/gone"

    report = await system.examined()

    assert said(report) == [("broken", "database")]
    assert "(DATABASE_URL)" in findings(report)[0].what
    assert "secret" not in text_report(report)
    assert report.database is None
    assert report.queue is not None


async def test_it_works_without_redis(system: System) -> None:
    system.environ["HEADRACE_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"

    report = await system.examined()

    assert said(report) == [("broken", "queue")]
    assert report.database is not None


async def test_it_says_that_no_partition_is_ahead(system: System) -> None:
    pool = await create_pool(system.environ["DATABASE_URL"], max_size=1)
    ahead = await pool.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'events'::regclass"
    )
    today = f"events_{real_now():%Y%m%d}"
    for row in ahead:
        if row["name"] > today:
            await pool.execute(f"DROP TABLE {row['name']}")
    await close_pool(pool)

    report = await system.examined()

    assert said(report) == [("broken", "partitions")]
    assert findings(report)[0].what.startswith("0 of the next 3 days")


async def test_it_names_dead_workers_that_hold_entries(system: System) -> None:
    """With a live worker it is a warning: that one takes them over."""
    stream = system.keys.stream(0)
    await system.redis.xadd(stream, {"v": "1"})
    await system.worker_asks("dead")

    async def is_silent() -> bool:
        [consumer] = await system.redis.xinfo_consumers(stream, GROUP)
        return bool(consumer["idle"] > SILENT_SECONDS * 1000)

    await until(is_silent, 10, "the silence")
    report = await system.examined()

    assert said(report) == [("warning", "dead consumers")]
    assert "1 entries" in findings(report)[0].what
    assert "(dead)" in findings(report)[0].what
    without_workers = await examine(system.environ, SystemClock(), silent_seconds=0)
    assert said(without_workers) == [("broken", "workers"), ("broken", "dead consumers")]


@pytest.mark.parametrize(("seconds", "level"), [(-20, "warning"), (400, "broken")])
async def test_it_says_that_the_clock_is_off(system: System, seconds: int, level: str) -> None:
    """Compared with Redis and with Postgres."""
    clock = clock_of(real_now())
    clock.advance(seconds)

    assert said(await system.examined(clock=clock)) == [(level, "clock")] * 2


async def test_wrong_settings_and_a_missing_folder_are_findings(system: System, tmp_path: Path) -> None:
    """As many as there are: a start would name them, too."""
    system.environ |= {
        "HEADRACE_RETENTION_DAYS": "many",
        "HEADRACE_BATCH_ENTRIES": "none",
        "HEADRACE_QUEUE_DISK": str(tmp_path / "nowhere"),
    }

    found = said(await system.examined())

    assert found == [("broken", "settings")] * 2 + [("warning", "disk")]
