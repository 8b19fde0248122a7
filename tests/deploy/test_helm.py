"""The Helm chart: linted, rendered, and checked against the schemas of what it makes."""

import json
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from collector.broker.keys import LANES, RedisKeys
from collector.process.known_settings import unknown_variables
from collector.process.settings import MOST_SHARDS
from tests.deploy.tools import ROOT, tool

CHART: Final = ROOT / "deploy/helm/headrace"
HERE: Final = Path(__file__).parent
EVERYTHING: Final = {
    "worker": {"keda": {"enabled": True, "address": "valkey:6379", "shards": 2, "keyPrefix": "shop:"}},
    "serviceMonitor": {"enabled": True},
    "ingress": {"enabled": True},
    "imagePullSecrets": [{"name": "registry"}],
    "settings": {"HEADRACE_RETENTION_DAYS": "90"},
    "api": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "a", "operator": "Exists"}]},
}
NOTHING: Final = {
    "ingest": {"autoscaling": {"enabled": False}},
    "migrate": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "trustedProxies": [],
}


@cache
def _rendered(values: str) -> dict[str, Any]:
    python = Path(tool("kubernetes-validate")).with_name("python")
    done = subprocess.run(  # noqa: S603 - our own words
        [python, HERE / "chart.py", CHART, HERE / "schemas"],
        input=values,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rendered(values: object) -> list[dict[str, Any]]:
    """The manifests that the chart makes of the values, which are valid."""
    found = _rendered(json.dumps(values))
    assert found["problems"] == []
    manifests: list[dict[str, Any]] = found["manifests"]
    return manifests


def _containers(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pods = [each["spec"]["template"]["spec"] for each in manifests if each["kind"] in {"Deployment", "Job"}]
    return [container for pod in pods for container in pod["containers"]]


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        pytest.param(
            {}, {"HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "Job"}, id="default"
        ),
        pytest.param(EVERYTHING, {"ScaledObject", "ServiceMonitor", "Ingress", "Job"}, id="everything"),
        pytest.param(NOTHING, {"Deployment", "Service"}, id="nothing"),
    ],
)
def test_what_the_chart_makes_follows_the_schemas(values: object, kinds: set[str]) -> None:
    found = {each["kind"] for each in rendered(values)}

    assert found >= kinds
    if values is NOTHING:
        assert found == {"Deployment", "Service", "ServiceAccount", "ConfigMap"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param({"ingest": {"replica": 3}}, "replica", id="a misspelt value"),
        pytest.param({"api": {"replicas": 0}}, "minimum", id="no replica"),
        pytest.param({"settings": {"HEADRACE_DATABASE_URL": "x"}}, "HEADRACE_DATABASE_URL", id="a secret"),
        pytest.param({"worker": {"keda": {"enabled": True}}}, "address", id="KEDA without an address"),
    ],
)
def test_a_wrong_value_is_refused_and_named(values: object, sentence: str) -> None:
    problems = "\n".join(_rendered(json.dumps(values))["problems"])

    assert sentence in problems


def test_every_container_is_bounded_and_has_no_rights() -> None:
    for container in _containers(rendered(EVERYTHING)):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"]["memory"]
        if container["name"] != "migrate":
            assert container["readinessProbe"]
            assert container["livenessProbe"]


def test_every_variable_is_a_setting_and_no_secret_stands_in_one() -> None:
    for container in _containers(rendered(EVERYTHING)):
        names = {each["name"]: each.get("value", "") for each in container["env"]}
        if container["name"] != "proxy":
            assert unknown_variables(names) == []
            assert names["HEADRACE_REDIS_URL_FILE"].startswith("/run/secrets/")
            assert ("HEADRACE_DATABASE_URL_FILE" in names) == (container["name"] != "ingest")


def test_workers_are_scaled_by_the_streams_that_exist() -> None:
    [scaled] = [each for each in rendered(EVERYTHING) if each["kind"] == "ScaledObject"]
    streams = {trigger["metadata"]["stream"] for trigger in scaled["spec"]["triggers"]}

    keys = RedisKeys("shop:")
    assert streams == {keys.stream(shard + lane * MOST_SHARDS) for shard in range(2) for lane in range(LANES)}


def test_the_chart_has_the_version_and_the_proxy_of_the_repository() -> None:
    """A chart contains only files of its folder."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert (CHART / "files/Caddyfile").read_text() == (ROOT / "deploy/caddy/Caddyfile").read_text()
