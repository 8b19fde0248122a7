"""What the documents say is so: the README's walk-through runs, and its tables miss and invent nothing."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from collector.api.settings import ApiSettings
from collector.embedded.settings import UpSettings
from collector.ingest.settings import IngestSettings
from collector.process.metrics import ApiMetrics, IngestMetrics, WorkerMetrics
from collector.process.settings import PREFIX
from tests.end_to_end.running import started_up
from worker.settings import WorkerSettings

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text()
OPERATING: Final = (ROOT / "docs" / "operating.md").read_text()
DOCUMENTS: Final = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("loadtests/*.md")]


@pytest.mark.end_to_end
async def test_the_walk_through_runs_as_it_stands_in_the_readme(tmp_path: Path) -> None:
    """A newcomer pastes the block: log-in, token, post, three looks at the event, lists, revocation."""
    [block] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    async with started_up(tmp_path / ".headrace") as up:
        await up.until_ready()
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", block),
            cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30):
            output, _ = await shell.communicate()

    said = output.decode()
    assert shell.returncode == 0, said
    assert re.findall(r"^HTTP/1.1 (\d+)", said, re.MULTILINE) == ["202", "202", "401"]
    assert len(re.findall(r'^\[\{.*"reference_id":"hello-\d+"', said, re.MULTILINE)) == 3
    assert '"organization_name":"My organization"' in said


def test_the_readme_lists_every_setting_and_no_other() -> None:
    """Somebody who looks for a setting finds it there."""
    kinds = (IngestSettings, ApiSettings, WorkerSettings, UpSettings)
    fields = {field.name for kind in kinds for field in msgspec.structs.fields(kind)}

    table = README.partition("## Settings")[2]

    assert set(re.findall(rf"`({PREFIX}[A-Z_]+)`", table)) == {PREFIX + name.upper() for name in fields}


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
