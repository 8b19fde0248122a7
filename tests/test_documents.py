"""What the documents say is so: the README's walk-through runs, and its tables miss and invent nothing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from collector.admin.settings_page import KINDS
from collector.domain.event.known_objects import KNOWN_OBJECTS
from collector.http.event_form import EventForm
from collector.process.metrics import ApiMetrics, IngestMetrics, WorkerMetrics
from collector.process.settings_table import settings_page
from tests.end_to_end.pasting import EACH_SHELL, paste
from tests.end_to_end.running import started_up

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text()
TUTORIAL: Final = (ROOT / "docs" / "tutorial.md").read_text()
OPERATING: Final = (ROOT / "docs" / "operating.md").read_text()
DOCUMENTS: Final = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("loadtests/*.md")]


@pytest.mark.end_to_end
@pytest.mark.parametrize("shell", EACH_SHELL)
async def test_the_tutorial_runs_as_it_stands(shell: tuple[str, ...], tmp_path: Path) -> None:
    """A newcomer pastes the blocks: log-in, token, post, three looks at the event, lists, revocation."""
    async with started_up(tmp_path / ".headrace") as up:
        await up.until_ready()
        status, said = await paste(shell, walk_through(), tmp_path)
        looked, table = await paste(shell, look_into_the_store(), tmp_path)

    assert (status, looked) == (0, 0), said
    assert re.findall(r"^HTTP/1.1 (\d+)", said, re.MULTILINE) == ["202", "202", "401"]
    assert len(re.findall(r'^\[\{.*"reference_id":"hello-\d+"', said, re.MULTILINE)) == 3
    assert '"organization_name":"My organization"' in said
    assert re.search(r"^ [0-9a-f]{32} .* log +\| Hello +\| hello-\d+", table, re.MULTILINE)


@pytest.mark.parametrize("shell", EACH_SHELL)
async def test_the_walk_through_ends_where_nothing_runs(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Somebody who skipped the first step is told so, and no line waits for ever."""
    _, said = await paste(shell[:1], walk_through(), tmp_path)

    assert said.startswith("Nothing runs here yet. Start it with: make up\n")
    assert "HTTP/1.1" not in said


def test_the_walk_through_has_no_comments() -> None:
    """A zsh takes one that is typed or pasted for a command."""
    assert not re.findall(r"(?:^|\s)#.*", walk_through(), re.MULTILINE)


def look_into_the_store() -> str:
    """What operators are told to paste for that, with the interpreter at hand."""
    section = OPERATING.partition("## Looking into the store\n")[2]
    [block] = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(block).replace(".venv/bin/python", sys.executable)


def walk_through() -> str:
    """What is to be pasted, all of it."""
    blocks = re.findall(r"```sh\n(.*?)```", TUTORIAL, re.DOTALL)
    assert len(blocks) == 8
    return "\n".join(blocks)


def test_the_page_of_settings_is_what_the_settings_classes_say() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(KINDS)


def test_the_operating_document_lists_every_metric_and_no_other() -> None:
    """Somebody who sets up alerts finds each metric and what it tells."""
    registry = CollectorRegistry()
    for catalogue in (IngestMetrics, WorkerMetrics, ApiMetrics):
        catalogue(registry)

    table = OPERATING.partition("## What to watch")[2]
    listed = {name.removesuffix("_total") for name in re.findall(r"`(headrace_[a-z_]+)", table)}

    assert listed == {metric.name for metric in registry.collect()}


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        pytest.param({"HEADRACE_PORT": "8095"}, "headrace up", id="the environment is left alone"),
        pytest.param({"PORT": "8081"}, "headrace up --port '8081'", id="a port"),
        pytest.param({"DATA_DIR": "a b"}, "headrace up --data-dir 'a b'", id="a directory"),
    ],
)
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_up_passes_on_what_it_was_given_and_no_more(environ: dict[str, str], command: str) -> None:
    """HEADRACE_PORT counts for `make up` as it does for `headrace up`."""
    done = subprocess.run(
        ["make", "--dry-run", "up"],  # noqa: S607 - whichever make there is
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert done.stdout.splitlines()[-1].split("/")[-1].split() == command.split()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """A file that was moved takes its links along."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_page_of_events_has_every_member_and_every_known_object() -> None:
    """And no member of theirs is missing."""
    page = (ROOT / "docs" / "events.md").read_text()
    members, known = page.split("## What `data` knows")
    rows = set(re.findall(r"^\| `(\w+)` \|", members, re.MULTILINE))

    assert rows - {"id"} == set(EventForm.__struct_fields__)
    for name, names in KNOWN_OBJECTS.items():
        [row] = re.findall(rf"^\| `{name}` \|.*", known, re.MULTILINE)
        assert {member for member in names if f"`{member}`" not in row} == set(), name
