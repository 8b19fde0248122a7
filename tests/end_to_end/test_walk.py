"""One `headrace up` for all of these: what a newcomer does, and what may fail meanwhile."""

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.end_to_end.pasting import EACH_SHELL, paste
from tests.end_to_end.running import RunningUp, started_up
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningUp]:
    """A running collector. A test that breaks it waits until it has recovered."""
    async with started_up(tmp_path_factory.mktemp("walk") / "data") as up:
        await up.until_ready()
        yield up


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with a new connection for every request, like curl."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.fixture
def reference_id() -> str:
    """A reference id that no other test uses."""
    return f"walk-{secrets.token_hex(6)}"


async def test_a_posted_event_is_found_by_its_reference_id(
    up: RunningUp, session: aiohttp.ClientSession, reference_id: str
) -> None:
    assert await up.post(session, reference_id) == 202

    await up.until_found(session, reference_id)


async def test_a_message_is_read_as_it_was_sent(
    up: RunningUp, session: aiohttp.ClientSession, reference_id: str
) -> None:
    """Although characters with a meaning in HTML are escaped in the answer."""
    message = "it's <b>R&D</b> für uns"
    assert await up.post(session, reference_id, message) == 202
    await up.until_found(session, reference_id)

    url = f"{up.ready.url}/api/v2/events/by-ref/{reference_id}"
    async with session.get(url, headers={"Authorization": f"Bearer {up.ready.user_token}"}) as response:
        text, [event] = await response.text(), await response.json()

    assert r'"message":"it\u0027s \u003Cb\u003ER\u0026D\u003C/b\u003E für uns"' in text
    assert event["message"] == message


@pytest.mark.parametrize("shell", EACH_SHELL)
async def test_the_printed_lines_work_as_they_stand(
    up: RunningUp, session: aiohttp.ClientSession, reference_id: str, shell: tuple[str, ...]
) -> None:
    """Pasted together, the event is posted, looked up until the worker has stored it, and printed."""
    printed = up.output.partition("Headrace is ready at ")[2].partition("\n")[2]
    pasted = re.sub(r"hello-[0-9a-f]+", reference_id, printed)
    worker, looks = up.ready.pids["worker"][0], await looks_by_reference(up, session)

    async def has_looked_in_vain() -> bool:
        return await looks_by_reference(up, session) > looks

    os.kill(worker, signal.SIGSTOP)
    try:
        async with asyncio.TaskGroup() as tasks:
            pasting = tasks.create_task(paste(shell, pasted))
            await until(has_looked_in_vain, 20)
            os.kill(worker, signal.SIGCONT)
    finally:
        os.kill(worker, signal.SIGCONT)

    status, output = pasting.result()
    assert status == 0
    assert output.startswith("HTTP/1.1 202")
    assert output.endswith("}]\n")
    assert f'"reference_id":"{reference_id}"' in output.splitlines()[-1]


async def looks_by_reference(up: RunningUp, session: aiohttp.ClientSession) -> float:
    """How many lookups by reference id there were so far, in all processes of the port."""
    async with session.get(f"{up.ready.url}/metrics") as response:
        pattern = r'request_seconds_count\{\S*route="GET \S*/by-ref/\S* (\S+)'
        return sum(map(float, re.findall(pattern, await response.text())))


async def test_the_doctor_finds_nothing_wrong(up: RunningUp) -> None:
    """On all of `headrace up`, found by its data directory; the disk is the machine's own business."""
    arguments = ("doctor", "--json", "--data-dir", str(up.directory))
    asked = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "collector.cli", *arguments), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asked.communicate()
    report = json.loads(output)

    assert [each for each in report["findings"] if each["subject"] != "disk"] == []
    assert asked.returncode == {"well": 0, "warning": 1, "broken": 2}[report["status"]]
    assert report["queue"]["workers"] >= 1
    assert {each["source"] for each in report["settings"]} >= {"headrace up"}


async def test_ingest_does_not_need_postgres(
    up: RunningUp, session: aiohttp.ClientSession, reference_id: str
) -> None:
    """The event is stored once Postgres is back."""
    killed = await up.kill("postgres")

    assert await up.post(session, reference_id) == 202

    await up.until_replaced("postgres", killed)
    await up.until_found(session, reference_id)


async def test_an_event_answered_202_survives_an_immediate_kill_of_valkey(
    up: RunningUp, session: aiohttp.ClientSession, reference_id: str
) -> None:
    """The 202 means that the post is on the queue's disk."""
    assert await up.post(session, reference_id) == 202
    killed = await up.kill("valkey")

    await up.until_replaced("valkey", killed)

    await up.until_found(session, reference_id)
    assert "valkey was restarted in" in up.output


@pytest.mark.parametrize("kind", ["worker", "ingest"])
async def test_a_killed_process_is_replaced_and_nothing_is_lost(
    up: RunningUp, session: aiohttp.ClientSession, reference_id: str, kind: str
) -> None:
    """Neither posts accepted before nor later ones."""
    await up.until_accepted(session, reference_id)
    killed = await up.kill(kind)

    await up.until_replaced(kind, killed)

    await up.until_accepted(session, f"{reference_id}-2")
    await up.until_found(session, reference_id)
    await up.until_found(session, f"{reference_id}-2")


async def test_a_second_up_on_the_same_directory_is_refused(up: RunningUp) -> None:
    """Exit status 2 and one line that names the first, which continues."""
    before = up.ready
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *up_again(up)), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()

    assert process.returncode == 2
    (line,) = output.decode().splitlines()
    assert f"is in use by another `headrace up` (process {up.process.pid})" in line
    assert up.ready == before


def up_again(up: RunningUp) -> tuple[str, ...]:
    """Start it again with the same command."""
    return (sys.executable, "-P", "-m", "collector.cli", "up", "--port", "0", "--data-dir", str(up.directory))
