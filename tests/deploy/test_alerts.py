"""The alert rules and the dashboard: metrics that exist, tried by promtool, a runbook for each alert."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from collector.process.metrics import catalogue

ROOT: Final = Path(__file__).parents[2]
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "headrace.json"
RUNBOOKS: Final = (ROOT / "docs" / "runbooks.md").read_text()
PROMTOOL: Final = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt: prometheus)")


def alerts() -> list[dict[str, Any]]:
    """Every rule."""
    groups = msgspec.yaml.decode((PROMETHEUS / "rules.yaml").read_bytes())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_expressions() -> list[str]:
    """Every expression of the dashboard."""
    panels = msgspec.json.decode(DASHBOARD.read_bytes())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_each_alert_has_a_runbook_and_nothing_else_has() -> None:
    """The annotation leads to its paragraph, which says more than the summary does."""
    sections = dict(re.findall(r"^## (\w+)\n\n(.+?)(?=\n## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))

    assert list(sections) == [alert["alert"] for alert in alerts()]
    for alert in alerts():
        notes, section = alert["annotations"], sections[alert["alert"]]
        assert notes["runbook"] == f"docs/runbooks.md#{alert['alert'].lower()}"
        assert section.startswith(f"{notes['summary']} ({alert['labels']['severity']})\n\n")
        assert len(section.partition("\n\n")[2]) > 50


@pytest.mark.parametrize("expression", [*(alert["expr"] for alert in alerts()), *dashboard_expressions()])
def test_rules_and_dashboard_use_metrics_and_labels_of_the_catalogue(expression: str) -> None:
    labels = {
        name + end: set(metric.labels) | {"job", "instance", "process", "version", "le"}
        for metrics in catalogue().values()
        for metric in metrics
        for name, end in [(metric.name, ""), *((metric.name, each) for each in _ends(metric.kind))]
    } | {"up": {"job"}}
    used = re.findall(r"\b((?:headrace|process|python)_\w+|up)\b(?:\{([^}]*)\})?", expression)
    grouped = re.findall(r"by \(([^)]*)\)", expression)

    assert used
    for name, matchers in used:
        named = set(re.findall(r"(\w+)(?:=|!)", matchers))
        assert named <= labels[name]
    known = set().union(*(labels[name] for name, _ in used))
    assert {label.strip() for group in grouped for label in group.split(",")} <= known


def _ends(kind: str) -> tuple[str, ...]:
    return ("_bucket", "_sum", "_count") if kind == "histogram" else ()


def test_each_alert_is_seen_to_fire_and_to_be_quiet() -> None:
    """In rules_test.yaml, which promtool runs."""
    tests = msgspec.yaml.decode((PROMETHEUS / "rules_test.yaml").read_bytes())["tests"]
    fired, quiet = set[str](), set[str]()
    for case in (case for test in tests for case in test["alert_rule_test"]):
        (fired if case["exp_alerts"] else quiet).add(case["alertname"])

    assert fired == quiet == {alert["alert"] for alert in alerts()}


@needs_promtool
@pytest.mark.parametrize("command", [["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]])
def test_promtool_accepts_the_rules_and_their_tests(command: list[str]) -> None:
    tried = subprocess.run(  # noqa: S603 - our own files
        [str(PROMTOOL), *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=120
    )

    assert tried.returncode == 0, tried.stdout + tried.stderr
