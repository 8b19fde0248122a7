"""Fails a whole run if a documented answer never came.

Every test that gets an answer from ingest or the api records it (`tests.support.documented`). By the end of
the run, each status that a handler documents must have been seen. With pytest-xdist, the process that
distributes the tests adds up what the others have seen.
"""

from pathlib import Path
from typing import Any, Final, cast

import pytest
from aiohttp import web

from collector.api import document as api_document
from collector.http.errors import STATUS
from collector.ingest import document as ingest_document
from tests.support.documented import MET

TESTS: Final = Path(__file__).parent.parent
_SEEN, _WHOLE = pytest.StashKey[set[tuple[str, str, int]]](), pytest.StashKey[bool]()


def unmet_answers(met: set[tuple[str, str, int]]) -> list[str]:
    """Operation and status of each documented answer of a handler that `met` (method, path, status) lacks."""
    documented: dict[str, tuple[set[tuple[str, str]], set[int]]] = {}
    for route in (*ingest_document.documented_routes(), *api_document.documented_routes()):
        operation = route.operation
        statuses = {*operation.answers, *(int(STATUS[refusal]) for refusal in operation.refusals)}
        paths, _ = documented.setdefault(operation.description, (set(), statuses))
        paths.add((route.method, path_template(route.pattern)))
    return [
        f"{name} {status}"
        for name, (paths, statuses) in documented.items()
        for status in statuses
        if not any((method, template, status) in met for method, template in paths)
    ]


def path_template(pattern: str) -> str:
    """The path as the document writes it: `/projects/{id}` without the expressions of its parameters."""
    resource: web.Resource = web.UrlDispatcher().add_resource(pattern)
    return resource.canonical


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember whether every test of ingest and the api is in this run."""
    option = session.config.option
    collected = {item.path for item in session.items}
    session.config.stash[_WHOLE] = (
        not option.collectonly
        and not option.keyword
        and not option.markexpr
        and all(collected.issuperset((TESTS / part).rglob("test_*.py")) for part in ("api", "ingest"))
    )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a process of pytest-xdist has seen; one that crashed has failed the run already."""
    output = cast("dict[str, Any]", getattr(node, "workeroutput", {}))
    stash = node.config.stash
    stash[_WHOLE] = bool(output.get("whole"))
    stash.setdefault(_SEEN, set()).update(tuple(answer) for answer in output.get("met", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass on what this process has seen, or fail the run if an answer is missing."""
    output = getattr(session.config, "workeroutput", None)
    stash = session.config.stash
    if output is not None:
        output["met"], output["whole"] = [list(answer) for answer in MET], stash.get(_WHOLE, False)
    elif unmet_in_run(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the answers that never came."""
    for answer in unmet_in_run(config):
        terminalreporter.write_line(f"Documented, but no test got this answer: {answer}", red=True)


def unmet_in_run(config: pytest.Config) -> list[str]:
    """The documented answers that a whole run has not met; none for a partial run."""
    if not config.stash.get(_WHOLE, False):
        return []
    others: set[tuple[str, str, int]] = config.stash.get(_SEEN, set())
    return unmet_answers(MET | others)
