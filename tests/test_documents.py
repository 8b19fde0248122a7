"""The documents are true: the tutorial runs, and the tables are complete."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from collector.admin.metrics_page import metrics_page
from collector.admin.settings_page import KINDS
from collector.domain.event.known_objects import KNOWN_OBJECTS
from collector.domain.event.outcome import DeadLetterReason, DiscardReason
from collector.http.event_form import EventForm
from collector.process.metrics import ApiMetrics, IngestMetrics, ProcessMetrics, WorkerMetrics, catalogue
from collector.process.settings_table import settings_page
from tests.end_to_end.pasting import EACH_SHELL, paste
from tests.end_to_end.running import started_up

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text()
TUTORIAL: Final = (ROOT / "docs" / "tutorial.md").read_text()
OPERATING: Final = ROOT / "docs" / "operating"
SECURITY: Final = (ROOT / "SECURITY.md").read_text()
DOCUMENTS: Final = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("loadtests/*.md")]


@pytest.mark.end_to_end
@pytest.mark.parametrize("shell", EACH_SHELL)
async def test_the_tutorial_runs_without_changes(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Pasting the blocks logs in, creates a token, posts, reads the event three times, lists, and revokes."""
    async with started_up(tmp_path / ".headrace") as up:
        await up.until_ready()
        status, said = await paste(shell, tutorial(), tmp_path)
        looked, table = await paste(shell, look_into_the_store(), tmp_path)

    assert (status, looked) == (0, 0), said
    assert re.findall(r"^HTTP/1.1 (\d+)", said, re.MULTILINE) == ["202", "202", "401"]
    assert len(re.findall(r'^\[\{.*"reference_id":"hello-\d+"', said, re.MULTILINE)) == 3
    assert '"organization_name":"My organization"' in said
    assert re.search(r"^ [0-9a-f]{32} .* log +\| Hello +\| hello-\d+", table, re.MULTILINE)


@pytest.mark.parametrize("shell", EACH_SHELL)
async def test_the_tutorial_ends_with_a_message_if_nothing_runs(
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """No line waits forever if the first step was skipped."""
    _, said = await paste(shell[:1], tutorial(), tmp_path)

    assert said.startswith("Nothing runs here yet. Start it with: make up\n")
    assert "HTTP/1.1" not in said


def test_the_tutorial_has_no_comments() -> None:
    """Zsh runs a pasted comment as a command."""
    assert not re.findall(r"(?:^|\s)#.*", tutorial(), re.MULTILINE)


def look_into_the_store() -> str:
    """The lines that operators paste, with this interpreter."""
    section = (OPERATING / "events.md").read_text().partition("## Looking into the store\n")[2]
    [block] = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(block).replace(".venv/bin/python", sys.executable)


def tutorial() -> str:
    """All lines to be pasted."""
    blocks = re.findall(r"```sh\n(.*?)```", TUTORIAL, re.DOTALL)
    assert len(blocks) == 8
    return "\n".join(blocks)


def test_the_page_of_settings_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(KINDS)


def test_the_page_of_metrics_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page()


def test_the_catalogue_has_every_metric_and_no_other() -> None:
    """Under the names that Prometheus sees."""
    registry = CollectorRegistry()
    for kind in (ProcessMetrics, IngestMetrics, WorkerMetrics, ApiMetrics):
        kind(registry)
    declared = {metric.name for metrics in catalogue().values() for metric in metrics}

    made = [(each.name, each.type) for each in registry.collect()]
    assert declared == {f"{name}_total" if kind == "counter" else name for name, kind in made}


@pytest.mark.parametrize("reason", [*DiscardReason, *DeadLetterReason])
def test_the_operating_document_explains_every_reason(reason: str) -> None:
    """Why an event was discarded or dead-lettered."""
    assert f"`{reason}`" in (OPERATING / "events.md").read_text()


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        pytest.param({"HEADRACE_PORT": "8095"}, "headrace up", id="the environment is left alone"),
        pytest.param({"PORT": "8081"}, "headrace up --port '8081'", id="a port"),
        pytest.param({"DATA_DIR": "a b"}, "headrace up --data-dir 'a b'", id="a directory"),
    ],
)
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_up_passes_on_its_variables(environ: dict[str, str], command: str) -> None:
    """HEADRACE_PORT works for `make up` as it does for `headrace up`."""
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


def test_the_recipes_name_files_and_things_that_exist() -> None:
    """Except `NNNN` and `x_y`, which stand for names that the reader chooses."""
    recipes = (ROOT / "CONTRIBUTING.md").read_text().partition("## Recipes")[2].partition("## House style")[0]
    folders = ("collector", "worker", "tests", "loadtests")
    code = "\n".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))

    paths = {path for path in re.findall(r"`([\w.-]+/[\w./-]+)`", recipes) if "NNNN" not in path}
    names = set(re.findall(r"`([A-Za-z_]\w+)`", recipes)) - {"x_y", "HEADRACE_X_Y"}

    assert len(paths) > 20
    assert len(names) > 20
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    assert [name for name in sorted(names) if re.search(rf"\b{name}\b", code) is None] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_work(document: Path) -> None:
    """The file is there, and in a document the heading that a link names."""
    links = re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)", document.read_text())

    dead = [
        (file, heading)
        for file, heading in links
        if not (target := document.parent / file if file else document).exists()
        or (heading and heading not in anchors(target))
    ]

    assert dead == []


def anchors(document: Path) -> set[str]:
    """The headings as the usual renderers name them in links."""
    headings = re.findall(r"^#+ (.+)", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_security_document_names_tests_that_exist() -> None:
    """Each bound in its tables is held by one."""
    named = set(re.findall(r"`(test_\w+)`", SECURITY))
    defined = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    assert named
    assert named <= defined


def test_the_page_of_events_has_every_member_and_every_known_object() -> None:
    """With all their members."""
    page = (ROOT / "docs" / "events.md").read_text()
    members, known = page.split("## What `data` knows")
    rows = set(re.findall(r"^\| `(\w+)` \|", members, re.MULTILINE))

    assert rows - {"id"} == set(EventForm.__struct_fields__)
    for name, names in KNOWN_OBJECTS.items():
        [row] = re.findall(rf"^\| `{name}` \|.*", known, re.MULTILINE)
        assert {member for member in names if f"`{member}`" not in row} == set(), name
