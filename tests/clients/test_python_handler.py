"""The `logging.Handler` in the documentation, copied into a separate program."""

import asyncio
import re
import socket
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.clients.stored import Reader, new_reference_id
from tests.end_to_end.running import RunningUp

pytestmark = pytest.mark.end_to_end

CLIENTS: Final = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()


def handler_and_use(url: str, token: str) -> str:
    """The two code blocks with an address and a token filled in."""
    section = CLIENTS.partition("## Python's `logging`")[2].partition("\n## ")[0]
    handler, use = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return str(handler + use.replace("https://events.example.org", url).replace("TOKEN", token))


async def run(program: str) -> tuple[int | None, str]:
    """Run a separate program to its end; return its status and standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-W", "error", "-c", program), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_log_records_are_stored_when_the_program_has_ended(up: RunningUp, reader: Reader) -> None:
    """With level and logger, and for an error its type and trace."""
    name = new_reference_id()
    program = handler_and_use(up.ready.url, up.ready.client_token).replace("pay", name)
    program += f"logging.getLogger('{name}').warning('%s of %s', 1, 2)\n"

    assert await run(program) == (0, "")

    declined = await reader.only(f'message:"{name}ment declined"')
    failed = await reader.only(f'message:"could not {name}"')
    warned = await reader.only(f"source:{name}")
    assert (declined["type"], declined["source"], declined["data"]["@level"]) == ("log", "root", "error")
    assert (warned["message"], warned["data"]["@level"]) == ("1 of 2", "warning")
    error = failed["data"]["@simple_error"]
    assert (failed["type"], error["type"]) == ("error", "ZeroDivisionError")
    assert error["stack_trace"].startswith("Traceback (most recent call last):")


async def test_an_unreachable_collector_does_not_stop_the_program() -> None:
    """Records beyond a thousand are dropped, and the program ends at most ten seconds late."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        many = "for number in range(5000):\n    logging.error(number)\n"
        started = time.monotonic()
        status, errors = await run(handler_and_use(url, "none") + many)

    assert (status, errors) == (0, "")
    assert time.monotonic() - started < 40


async def test_a_refusal_is_not_repeated(up: RunningUp) -> None:
    """An unknown token is always 401, so the program ends soon."""
    started = time.monotonic()
    assert await run(handler_and_use(up.ready.url, "x" * 40)) == (0, "")
    assert time.monotonic() - started < 9
