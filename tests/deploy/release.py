"""`make release-check`: builds the release into dist/ and does all with it that needs no registry.

Wheel and source distribution, their metadata, a list of what they install (SBOM), notes from the changelog,
and an installation in a clean environment: without the extra, and with it as `headrace up` outside of the
checkout.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ROOT / ".venv-deploy/bin"
DIST: Final = ROOT / "dist"
VERSION: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
_NEEDS_EXTRA: Final = 2
_SECONDS: Final = 600


def main() -> None:
    """Do all of it, and say what was done; the first failure ends it with its output."""
    notes = release_notes((ROOT / "CHANGELOG.md").read_text(), VERSION)
    shutil.rmtree(DIST, ignore_errors=True)
    # The wheel is built from the source distribution, so nothing of an earlier build gets into it.
    _run(
        TOOLS / "uv",
        "build",
        "--quiet",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        DIST,
    )
    (DIST / "notes.md").write_text(notes)
    [wheel], [source] = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    _say(f"built {wheel.name} ({wheel.stat().st_size >> 10} KB) and {source.name}")
    _run(TOOLS / "twine", "check", "--strict", wheel, source)
    _say("the metadata and the description are as PyPI wants them")
    with tempfile.TemporaryDirectory(prefix="headrace-release-") as directory:
        environment = Path(directory, "venv")
        _run(sys.executable, "-m", "venv", environment)
        _install(environment, ROOT / "requirements/service.txt", "--project", wheel)
        _check_without_the_extra(environment, Path(directory))
        sbom = DIST / f"headrace-{VERSION}.cdx.json"
        _run(
            *(TOOLS / "cyclonedx-py", "environment", environment / "bin/python", "--output-file", sbom),
            *("--pyproject", ROOT / "pyproject.toml", "--output-format", "JSON", "--validate"),
        )
        _say(f"{sbom.name} lists what it installs")
        _install(environment, ROOT / "requirements/up.txt")
        asyncio.run(_check_up(environment, Path(directory)))
    _say(f"{VERSION} can be released: tag it v{VERSION}")


def release_notes(changelog: str, version: str) -> str:
    """What the changelog says of the version."""
    found = re.search(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        raise SystemExit(f"release-check: CHANGELOG.md says nothing of {version}")
    return found[1].strip() + "\n"


def _check_without_the_extra(environment: Path, directory: Path) -> None:
    """The command knows its version, and says what to install for `up`."""
    shown = _run(environment / "bin/headrace", "--version")
    assert shown == f"headrace {VERSION}\n", shown
    done = subprocess.run(  # noqa: S603 - our own command
        [environment / "bin/headrace", "up"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == _NEEDS_EXTRA, done.stderr
    assert "headrace[embedded]" in done.stderr, done.stderr
    _say(f"installed without the extra: {done.stderr.strip()}")


async def _check_up(environment: Path, directory: Path) -> None:
    """`headrace up` of the installed wheel takes an event and gives it back, outside of the checkout."""
    process = await asyncio.create_subprocess_exec(
        *(environment / "bin/headrace", "up", "--port", "0"),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
            while not (ready := _ready(directory)):
                assert process.returncode is None, (await process.communicate())[0].decode()
                await asyncio.sleep(0.2)
            await _post_and_read(ready)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
    assert process.returncode == 0
    _say("installed with the extra: `headrace up` stored an event and ended")


async def _post_and_read(ready: Mapping[str, str]) -> None:
    async with aiohttp.ClientSession(ready["url"]) as session:
        event = {"type": "log", "message": "released", "reference_id": "release-check"}
        client = {"Authorization": f"Bearer {ready['client_token']}"}
        async with session.post("/api/v2/events", json=event, headers=client) as answer:
            answer.raise_for_status()
        user = {"Authorization": f"Bearer {ready['user_token']}"}
        while True:
            async with session.get("/api/v2/events/by-ref/release-check", headers=user) as answer:
                if answer.ok and await answer.json():
                    return
            await asyncio.sleep(0.1)


def _ready(directory: Path) -> Mapping[str, str]:
    """What `up` writes once it is ready; nothing before."""
    path = directory / ".headrace/ready.json"
    found: Mapping[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def _install(environment: Path, *what: str | Path) -> None:
    _run("/bin/sh", ROOT / "requirements/install.sh", environment / "bin/python", *what)


def _run(*command: str | Path) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"release-check: {command[0]} failed\n{done.stdout}{done.stderr}")
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(f"release-check: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
