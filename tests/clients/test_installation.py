"""The clients are exactly the published ones, whichever registry npm and pip use."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.clients.installation import HERE

LOCK: Final = HERE / "package-lock.json"
PACKAGES: Final[dict[str, dict[str, Any]]] = msgspec.json.decode(LOCK.read_bytes())["packages"]


@pytest.mark.parametrize(
    "lock", [LOCK, HERE.parents[1] / "requirements" / "node.txt"], ids=lambda path: path.name
)
def test_no_lock_file_names_a_host(lock: Path) -> None:
    """The registry depends on the machine."""
    assert not re.search(r"://|resolved|index-url", lock.read_text())


def test_every_package_is_pinned_by_its_hash() -> None:
    """So a registry cannot deliver anything else."""
    installed = {name: package for name, package in PACKAGES.items() if name}

    assert all(package["integrity"].startswith("sha512-") for package in installed.values())
    assert installed["node_modules/@exceptionless/node"]["version"] == "3.2.1"
    assert installed["node_modules/exceptionless"]["version"] == "1.6.4"
