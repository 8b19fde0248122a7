"""The built web app, which is committed: users have no Node."""

import gzip
from pathlib import Path

import pytest

from tests.support import web_app
from tests.support.web_app import API_TYPES, BUILT, WEB, build
from tests.support.web_types import api_types

MAXIMUM_SCRIPT = 60 << 10
MAXIMUM_STYLE = 12 << 10
HTML_SINKS = (
    "innerHTML",
    "dangerouslySetInnerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "setHTMLUnsafe",
    "srcdoc",
    "createContextualFragment",
    "document.write",
    "eval(",
    "new Function",
)


def test_the_committed_app_is_what_its_sources_give(tmp_path: Path) -> None:
    """Byte for byte; `make web` builds it."""
    build(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in BUILT.iterdir()
    }


def test_the_types_of_the_app_are_those_of_the_document() -> None:
    """`make web` writes them."""
    assert API_TYPES.read_text() == api_types()


def test_a_build_without_its_tools_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "_MODULES", tmp_path)

    with pytest.raises(SystemExit, match=r"^headrace: [^\n]* are missing"):
        web_app.main()


@pytest.mark.parametrize(("name", "most"), [("app.js", MAXIMUM_SCRIPT), ("app.css", MAXIMUM_STYLE)])
def test_the_app_stays_small(name: str, most: int) -> None:
    """As it is sent, compressed."""
    assert len(gzip.compress((BUILT / name).read_bytes(), 6)) <= most


def test_the_app_never_writes_html() -> None:
    """Stored events are hostile; text nodes are all that they become."""
    sources = "".join(path.read_text() for path in (WEB / "src").rglob("*.[tj]s*"))

    assert sources
    assert [sink for sink in HTML_SINKS if sink in sources] == []


def test_the_lock_names_no_registry() -> None:
    """Each machine has its own."""
    assert '"resolved"' not in (WEB / "package-lock.json").read_text()
