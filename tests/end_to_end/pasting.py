"""The shells that people may paste our lines into, in their strictest mode."""

import asyncio
import shutil
from pathlib import Path

import pytest

_STRICT = {"bash": ("-eu", "-o", "pipefail"), "dash": ("-eu",), "zsh": ("-feu", "-o", "pipefail")}

EACH_SHELL = [
    pytest.param(
        (name, *options),
        id=name,
        marks=pytest.mark.skipif(
            shutil.which(name) is None or shutil.which("curl") is None, reason=f"needs {name} and curl"
        ),
    )
    for name, options in _STRICT.items()
]
"""bash and dash are in CI; zsh where it is installed."""

SPECIAL = set("'\"`()[]{}*?!$;&|<>\\")
"""Characters that a comment must not contain, since zsh runs a typed or pasted comment as a command."""


async def paste(shell: tuple[str, ...], text: str, directory: Path | None = None) -> tuple[int | None, str]:
    """Return the exit status and the standard output."""
    process = await asyncio.create_subprocess_exec(
        *(*shell, "-c", text),
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()
