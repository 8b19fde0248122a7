import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from collector.embedded import service as service_module
from collector.embedded.managed_process import Backoff, ManagedProcess, RestartPolicy, all_ready, kept_running
from collector.embedded.service import NotStarted
from collector.process.clock import SystemClock
from tests.embedded.shell import SERVES, Notebook, ShellService
from tests.support.waiting import until

HASTY = RestartPolicy(first_pause_seconds=0.01, longest_pause_seconds=0.05)


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    """The observer; processes that a test starts are gone after it."""
    notebook = Notebook()
    yield notebook
    left = [child.pid for children in notebook.children.values() for child in children]
    assert not [pid for pid in left if psutil.pid_exists(pid)]


def process_named(
    service: ShellService, notebook: Notebook, restart_policy: RestartPolicy = HASTY
) -> ManagedProcess:
    """A managed process that the notebook observes."""
    return ManagedProcess(service, notebook, SystemClock(), restart_policy)


async def test_a_service_runs_inside_the_block_and_not_after_it(tmp_path: Path, notebook: Notebook) -> None:
    managed = process_named(ShellService(tmp_path), notebook)

    async with kept_running([managed]):
        await all_ready([managed])
        pid = managed.pid
        assert pid is not None
        assert psutil.pid_exists(pid)

    assert managed.pid is None
    assert not psutil.pid_exists(pid)


async def test_a_killed_service_is_restarted_and_reported(tmp_path: Path, notebook: Notebook) -> None:
    """With the reason of its death and the new process id."""
    managed = process_named(ShellService(tmp_path), notebook)

    async with kept_running([managed]):
        await all_ready([managed])
        first = managed.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(notebook.restarts) == 1)

        assert notebook.restarts == [("shell", "killed by SIGKILL")]
        assert managed.pid not in {None, first}


async def test_a_service_is_restarted_without_limit(tmp_path: Path, notebook: Notebook) -> None:
    """Once it has served, no number of failures makes us give up. Each is reported."""
    service = ShellService(tmp_path)
    managed = process_named(service, notebook)

    async with kept_running([managed]):
        await all_ready([managed])
        service.script = "exit 7"
        assert managed.pid is not None
        os.kill(managed.pid, signal.SIGKILL)
        await until(lambda: len(notebook.problems) >= 5)
        service.script = SERVES
        await until(lambda: len(notebook.restarts) == 1)

    assert notebook.problems[0] == f"shell: exit status 7; see {tmp_path / 'shell.log'}"


def test_the_pauses_between_starts_grow_to_a_limit() -> None:
    """A service that keeps failing is not started a thousand times a second.

    After it has run, the pauses are short again.
    """
    backoff = Backoff(RestartPolicy(first_pause_seconds=0.1, longest_pause_seconds=1, young_seconds=10))

    assert [backoff.next() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1, 1]
    backoff.reset_after(lived_seconds=5)
    assert backoff.next() == 1
    backoff.reset_after(lived_seconds=11)
    assert backoff.next() == 0.1


async def test_a_service_that_keeps_failing_at_its_start_is_a_failed_start(
    tmp_path: Path, notebook: Notebook
) -> None:
    """The error has its last lines."""
    managed = process_named(ShellService(tmp_path, script="echo 'no disk' >&2; exit 7"), notebook)
    keeper_of_neighbour = process_named(ShellService(tmp_path, name="neighbour"), notebook)

    with pytest.raises(ExceptionGroup) as failed:
        async with kept_running([managed, keeper_of_neighbour]):
            await all_ready([managed])

    (error,) = failed.value.exceptions
    assert isinstance(error, NotStarted)
    assert (error.status, error.last_lines) == (7, ["no disk"])
    assert len(notebook.children["shell"]) == 3


async def test_an_invalid_setting_is_not_retried(tmp_path: Path, notebook: Notebook) -> None:
    """Exit status 2 means that a restart cannot help."""
    managed = process_named(ShellService(tmp_path, script="exit 2"), notebook)

    with pytest.raises(ExceptionGroup):
        async with kept_running([managed]):
            await all_ready([managed])

    assert len(notebook.children["shell"]) == 1


async def test_a_service_that_does_not_become_ready_is_stopped_with_the_reason(
    tmp_path: Path, notebook: Notebook
) -> None:
    """A start is bounded."""
    managed = process_named(
        ShellService(tmp_path, script="exec sleep 60"), notebook, RestartPolicy(start_seconds=0.1)
    )

    with pytest.raises(ExceptionGroup) as failed:
        async with kept_running([managed]):
            await all_ready([managed])

    assert "it has not said so" in str(failed.value.exceptions[0])


async def test_the_reason_for_a_long_wait_is_reported(
    tmp_path: Path, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a person can help before the start is given up."""
    monkeypatch.setattr(service_module, "_REPORT_AFTER_SECONDS", 0.05)
    managed = process_named(ShellService(tmp_path, script="exec sleep 60"), notebook)

    async with kept_running([managed]):
        await until(lambda: notebook.readiness_problems == ["it has not said so"])


async def test_services_stop_in_reverse_order(tmp_path: Path, notebook: Notebook) -> None:
    """A service has ended before those it needs are stopped."""
    order = tmp_path / "order"
    script = "trap 'echo {0} >> " + str(order) + "; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    processes = {
        name: process_named(ShellService(tmp_path, script.format(name), name), notebook)
        for name in ("server", "worker", "ingest")
    }

    async with kept_running([processes["server"]]):
        await all_ready([processes["server"]])
        async with kept_running([processes["worker"]]), kept_running([processes["ingest"]]):
            await all_ready([processes["worker"], processes["ingest"]])

    assert order.read_text().split() == ["ingest", "worker", "server"]


async def test_a_service_has_time_to_end(tmp_path: Path, notebook: Notebook) -> None:
    """More than the half second after which a cancellation is repeated."""
    script = "trap 'sleep 0.8; echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    managed = process_named(ShellService(tmp_path, script), notebook)

    async with kept_running([managed]):
        await all_ready([managed])

    (child,) = notebook.children["shell"]
    assert child.last_lines() == ["up", "bye"]
    assert await child.wait() == 0


async def test_an_interrupted_start_leaves_nothing_running(tmp_path: Path, notebook: Notebook) -> None:
    """Ctrl-C before a service is ready."""

    async def start() -> None:
        managed = process_named(ShellService(tmp_path, script="exec sleep 60"), notebook)
        async with kept_running([managed]):
            await all_ready([managed])

    starting = asyncio.ensure_future(start())
    await until(lambda: "shell" in notebook.children)
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting

    assert not psutil.pid_exists(notebook.children["shell"][0].pid)
