"""Reading the lock files."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "requirements"
INSTALL: Final = FOLDER / "install.sh"
EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "service.txt": (),
    "up.txt": ("embedded",),
    "dev.txt": ("embedded", "dev"),
}
"""The locks made from `pyproject.toml`, with the extras that each includes."""

_PIN: Final = re.compile(r"^([\w.-]+)==(\S+)(?: ; (.*?))? \\$", re.MULTILINE)
_PYPROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())


class Pin(NamedTuple):
    """One package of a lock."""

    name: str
    version: str
    marker: Marker | None


def pins(lock: str) -> Iterator[Pin]:
    """The pins of a lock file."""
    for name, version, marker in _PIN.findall((FOLDER / lock).read_text()):
        yield Pin(canonicalize_name(name), version, Marker(marker) if marker else None)


def asked_for(*extras: str) -> list[Requirement]:
    """The requirements in `pyproject.toml`, with these extras."""
    project = _PYPROJECT["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(text) for texts in lists for text in texts]


def asked_for_to_build() -> list[Requirement]:
    """The requirements to build the package."""
    return [Requirement(text) for text in _PYPROJECT["build-system"]["requires"]]
