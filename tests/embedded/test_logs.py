"""Children's logs are bounded while the children run."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from collector.embedded import logs
from collector.embedded.child import Child, Program
from collector.embedded.logs import OLDER_FILES, bound_all, bound_log, bound_logs
from collector.embedded.servers.postgres import Postgres
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT_BYTES", 1000)
    monkeypatch.setattr(logs, "_PAUSE_SECONDS", 0.01)


def sizes(directory: Path) -> dict[str, int]:
    """The sizes of all files, by name."""
    return {path.name: path.stat().st_size for path in sorted(directory.iterdir())}


def test_a_large_log_is_rotated(tmp_path: Path) -> None:
    """Its latest part and a few earlier ones are kept; other files are left alone."""
    log = tmp_path / "x.log"
    (tmp_path / "small.log").write_bytes(b"." * 1000)
    for number in range(OLDER_FILES + 2):
        log.write_bytes(b"old" * 400 + b"%d" % number * 1000)
        bound_all(tmp_path)

    older = {f"x.log.{number}": 1000 for number in range(1, OLDER_FILES + 1)}
    assert sizes(tmp_path) == {"small.log": 1000, "x.log": 0, **older}
    assert [(tmp_path / name).read_bytes()[:1] for name in older] == [b"3", b"2"]


def test_a_missing_log_is_ignored(tmp_path: Path) -> None:
    """It may have been deleted."""
    bound_log(tmp_path / "x.log")

    assert sizes(tmp_path) == {}


def test_a_log_that_cannot_be_rotated_is_truncated(tmp_path: Path) -> None:
    """So the bound holds even if the disk is full."""
    log = tmp_path / "x.log"
    log.write_bytes(b"." * 1001)
    (tmp_path / f"x.log.{OLDER_FILES}").mkdir()

    bound_log(log)

    assert log.read_bytes() == b""


async def test_a_child_continues_to_write_to_a_rotated_log(tmp_path: Path) -> None:
    """At its end, and its last lines are found."""
    lines = "i=0; while ! [ -e full ]; do echo line $i; i=$((i+1)); done"
    script = f"{lines}; while ! [ -e go ]; do sleep 0.01; done; echo bye"
    log = tmp_path / "logs" / "x.log"
    program = Program(("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, log, directory=tmp_path)
    child = Child.start(program)
    bounding = asyncio.ensure_future(bound_logs(log.parent))

    await until((log.parent / "x.log.2").exists)
    (tmp_path / "full").touch()
    with log.open("ab") as same:
        same.write(b"." * 1001)
    await until(lambda: log.stat().st_size < 1000)
    (tmp_path / "go").touch()
    assert await child.wait() == 0
    bounding.cancel()
    await asyncio.wait([bounding])

    assert not log.read_bytes().startswith(b"\0")
    assert child.last_lines(1) == ["bye"]
    assert sum(sizes(log.parent).values()) <= 1000 * (OLDER_FILES + 1)


@pytest.mark.integration
async def test_the_servers_logs_are_bounded(tmp_path: Path) -> None:
    """They also keep their file open."""
    valkey, postgres = Valkey(tmp_path), Postgres(tmp_path, is_durable=False)
    children = [await start_service(valkey), await start_service(postgres)]
    try:
        for name in ("valkey", "postgres"):
            with (tmp_path / "logs" / f"{name}.log").open("ab") as log:
                log.write(b"." * 1000)
        bound_all(tmp_path / "logs")
        async with Redis.from_url(valkey.url) as redis:
            await redis.config_set("loglevel", "debug")
            await redis.bgrewriteaof()
        assert {name: size for name, size in sizes(tmp_path / "logs").items() if name.endswith(".1")} == {
            "postgres.log.1": 1000,
            "valkey.log.1": 1000,
        }
        await until(lambda: b"rewriting" in (tmp_path / "logs" / "valkey.log").read_bytes())
    finally:
        for child in children:
            await child.stop()
    assert b"shut down" in (tmp_path / "logs" / "postgres.log").read_bytes()
    assert not (tmp_path / "logs" / "postgres.log").read_bytes().startswith(b"\0")
