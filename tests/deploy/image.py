"""Runs the image by docker, podman, or a program that HEADRACE_TEST_IMAGE_BUILDER names.

Such a program builds with `PROGRAM CONTEXT TAG` and runs, in the host's network, with
`PROGRAM --entry TAG -e NAME=VALUE ... ARGUMENT ...`.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psutil

from tests.deploy.tools import ROOT

TAG: Final = "localhost/headrace-image-test"
_BUILD_SECONDS: Final = 1200


@dataclass(frozen=True, slots=True)
class Image:
    """The image that was built, and the program that runs it."""

    program: str

    @property
    def is_engine(self) -> bool:
        """Whether it takes docker's arguments."""
        return os.path.basename(self.program) in {"docker", "podman"}  # noqa: PTH119 - a program's name

    def build(self) -> None:
        """Build the repository's Dockerfile as `make image` does."""
        command = (
            ["make", "image", f"ENGINE={self.program}"] if self.is_engine else [self.program, str(ROOT), TAG]
        )
        subprocess.run(command, cwd=ROOT, check=True, timeout=_BUILD_SECONDS)  # noqa: S603 - our own words

    async def start(self, environ: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
        """Run the image's own entry point: with a read-only root where the engine can do that."""
        variables = [part for name, text in environ.items() for part in ("-e", f"{name}={text}")]
        command = (
            [
                "run",
                "--rm",
                "--network=host",
                "--read-only",
                "--tmpfs=/tmp",
                *variables,
                "headrace",
                *arguments,
            ]
            if self.is_engine
            else ["--entry", TAG, *variables, *arguments]
        )
        return await asyncio.create_subprocess_exec(
            *(self.program, *command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )

    def stop(self, process: asyncio.subprocess.Process) -> None:
        """Send SIGTERM as `docker stop` does: to the first process in the container."""
        if self.is_engine:  # it passes the signal on
            process.terminate()
            return
        for child in psutil.Process(process.pid).children(recursive=True):
            # Not to what runs it, which would kill it.
            if child.uids().real == USER and not child.children():
                child.send_signal(signal.SIGTERM)


USER: Final = 10001
"""The user that the Dockerfile names."""


def found_image() -> Image | None:
    """What can build and run an image here."""
    named = os.environ.get("HEADRACE_TEST_IMAGE_BUILDER")
    program = named or shutil.which("docker") or shutil.which("podman")
    return Image(program) if program else None
