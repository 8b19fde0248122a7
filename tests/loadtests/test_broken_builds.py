"""The builds that are broken on purpose: each patch fits the sources, and the crash tests find it."""

import shutil
from pathlib import Path

import pytest

from loadtests.broken import BrokenBuild, apply, broken_builds, crash_test, finds
from loadtests.fault_run.kinds import FAULTS
from tests.conftest import SCALE

_BUILDS = broken_builds()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("build", _BUILDS, ids=lambda build: build.name)
def test_a_broken_build_differs_from_the_sources_and_names_what_finds_it(
    build: BrokenBuild, tmp_path: Path
) -> None:
    """A patch that no longer fits must be renewed."""
    apply(build, tmp_path)

    assert build.what.endswith(".")
    assert build.faults
    assert set(build.faults) <= set(FAULTS)


@pytest.mark.end_to_end
@pytest.mark.skipif(SCALE == 1, reason="half a minute each: in `make nightly`")
@pytest.mark.parametrize("build", _BUILDS, ids=lambda build: build.name)
def test_the_crash_tests_find_a_broken_build(build: BrokenBuild, tmp_path: Path) -> None:
    """Each ends red, for the reason that it names."""
    result = crash_test(build, apply(build, tmp_path))

    assert finds(build, result), result.stdout + result.stderr
