"""What builds and releases: the Dockerfile and the workflows, read by their linters."""

from tests.deploy.tools import ROOT, run, tool


def test_the_dockerfile_is_clean() -> None:
    run(tool("hadolint"), "Dockerfile")


def test_the_workflows_follow_the_schema_and_have_no_known_weakness() -> None:
    """Offline: actions are pinned by their commits, and permissions are the least."""
    workflows = sorted(str(path) for path in (ROOT / ".github/workflows").glob("*.yml"))
    assert workflows

    run(tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *workflows)
    run(tool("zizmor"), "--offline", "--no-progress", *workflows)
