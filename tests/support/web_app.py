"""Building the web app, and the packages that come with its tools: `python -m tests.support.web_app build`.

Without Node or `web/node_modules` the tests that need them are skipped; in CI they fail.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.clients.installation import Node, found_node
from tests.support.web_types import api_types

WEB: Final = Path(__file__).parents[2] / "web"
API_TYPES: Final = WEB / "src" / "api_types.ts"
BUILT: Final = WEB.parent / "collector" / "api" / "pages" / "web_app"

_MODULES: Final = WEB / "node_modules"
_BUILD_SECONDS: Final = 120


def build(target: Path) -> None:
    """Check the sources and build the app into the folder. Raises CalledProcessError for wrong ones."""
    _build(_node(), target)


def main() -> None:
    """Build the app that is committed, or end with one line that says why not."""
    node = _installed()
    if node is None:
        sys.exit("headrace: Node or the packages of `web` are missing; installing them needs PyPI and npm")
    API_TYPES.write_text(api_types())
    try:
        _build(node, BUILT)
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"headrace: {error}")


def _build(node: Node, target: Path) -> None:
    _run(*node.node, str(_MODULES / "typescript" / "bin" / "tsc"), "--noEmit")
    _run(*node.node, "build.mjs", str(target))


def axe() -> str:
    """The source of axe-core, which judges whether everybody can use a page."""
    _node()
    return (_MODULES / "axe-core" / "axe.min.js").read_text()


def _node() -> Node:
    node = _installed()
    if node is None:
        reason = "the tools of `web` are not installed; `make test` installs them"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return node


def _installed() -> Node | None:
    """Node, if it and the packages of `web` are installed."""
    return found_node() if (_MODULES / ".package-lock.json").exists() else None


def _run(*command: str) -> None:
    subprocess.run(command, cwd=WEB, timeout=_BUILD_SECONDS, check=True)  # noqa: S603 - our own words


if __name__ == "__main__" and sys.argv[1:] == ["build"]:
    main()
