"""Renders the chart with the values on standard input and checks what comes out; prints JSON.

A program of its own, because only the environment of the tools has Helm and the schemas of Kubernetes:
`python chart.py CHART FOLDER_OF_OUR_SCHEMAS < values.json`.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import helm_python
import jsonschema
import kubernetes_validate
import yaml

KUBERNETES: Final = ("1.31", "1.37")
_SEVERE: Final = 2


def main(chart: str, schemas: Path) -> None:
    """Print what was rendered, and what is wrong with it."""
    values = json.load(sys.stdin)
    lint = helm_python.lint(chart, values, strict=True)
    problems = [each["error"] for each in lint["messages"] if each["severity"] >= _SEVERE]
    manifests: list[dict[str, Any]] = []
    try:
        with helm_python.Chart.load(chart) as loaded:
            rendered = loaded.render(values, name="demo", namespace="production")
    except helm_python.HelmValuesError as error:
        rendered = {}
        problems.append(str(error))
    for name, text in rendered.items():
        if not name.endswith(".txt"):
            manifests += [each for each in yaml.safe_load_all(text) if each]
    for manifest in manifests:
        problems += [f"{manifest['kind']}: {problem}" for problem in _problems(manifest, schemas)]
    json.dump({"manifests": manifests, "problems": problems}, sys.stdout)


def _problems(manifest: dict[str, Any], schemas: Path) -> list[str]:
    """By the schemas of two versions of Kubernetes, or by ours for what comes with an operator."""
    ours = schemas / f"{manifest['kind'].lower()}.json"
    if ours.exists():
        validator = jsonschema.Draft202012Validator(json.loads(ours.read_text()))
        return [error.message for error in validator.iter_errors(manifest)]
    problems = []
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            problems.append(f"{version}: {error.message}")
    return problems


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
