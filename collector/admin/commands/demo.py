"""`headrace demo`: sends the events of an imagined shop."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from collector.admin.running import DataDir, fail


def demo(
    *,
    events: Annotated[int, typer.Option(min=1, max=100_000, help="How many events to send.")] = 3000,
    url: Annotated[
        str | None, typer.Option(help="The address of the server; that of a running `up`.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="A client token; that of a running `up`.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives other events.")] = 26,
    data_dir: DataDir = None,
) -> None:
    """Send realistic events of two and a half days through the API, to have something to look at."""
    from pathlib import Path  # noqa: PLC0415

    from collector.admin.demo import send_demo  # noqa: PLC0415
    from collector.embedded.ready_file import read_ready_file  # noqa: PLC0415
    from collector.process.lifecycle import StartError  # noqa: PLC0415

    async def run(url: str, token: str) -> None:
        async for accepted in send_demo(url, token, events, datetime.now(UTC), seed):
            sys.stderr.write(f"\r{accepted} of {events} events accepted")
        sys.stderr.write(f"\nLook at them:  {url}/stacks\n")

    try:
        # One without the other would send the token of this machine to another server.
        if (url is None) != (token is None):
            fail("give --url and --token together.")
        if url is None or token is None:
            ready = read_ready_file((data_dir or Path(".headrace")) / "ready.json")
            if ready is None:
                fail("nothing runs here; start `headrace up`, or give --url and --token.")
            url, token = ready.url, ready.client_token
        asyncio.run(run(url, token))
    except StartError as error:
        fail(str(error))
