"""The built web app, which is committed: users have no Node."""

import gzip
from pathlib import Path

import pytest

from tests.support.web_app import BUILT, build

MAXIMUM_SCRIPT = 60 << 10
MAXIMUM_STYLE = 12 << 10


def test_the_committed_app_is_what_its_sources_give(tmp_path: Path) -> None:
    """Byte for byte; `make web` builds it."""
    build(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in BUILT.iterdir()
    }


@pytest.mark.parametrize(("name", "most"), [("app.js", MAXIMUM_SCRIPT), ("app.css", MAXIMUM_STYLE)])
def test_the_app_stays_small(name: str, most: int) -> None:
    """As it is sent, compressed."""
    assert len(gzip.compress((BUILT / name).read_bytes(), 6)) <= most


def test_the_app_never_writes_html() -> None:
    """Stored events are hostile; text nodes are all that they become."""
    sources = "".join(path.read_text() for path in (BUILT.parents[3] / "web" / "src").rglob("*.ts*"))

    for word in ("innerHTML", "dangerouslySetInnerHTML", "document.write", "eval(", "new Function"):
        assert word not in sources


def test_the_lock_names_no_registry() -> None:
    """Each machine has its own."""
    assert '"resolved"' not in (BUILT.parents[3] / "web" / "package-lock.json").read_text()
