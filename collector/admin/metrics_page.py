"""The page docs/metrics.md from the catalogue of metrics: `python -m collector.admin.metrics_page`."""

import sys
from typing import Final

from collector.process.metrics import catalogue

_HEAD: Final = """\
# Metrics

Every process serves its metrics at `/metrics` in the text format of Prometheus. `make docs` generates this
page from the catalogue in the code. [rules.yaml](../deploy/prometheus/rules.yaml) has alerts about them,
[runbooks.md](runbooks.md) says what to do then, [headrace.json](../deploy/grafana/headrace.json) is a
dashboard for Grafana.

`serve` has the metrics of ingest and of the API. Processes that share a port (`HEADRACE_REUSE_PORT`, and
`headrace up --ingest 2`) answer for each other: whichever is scraped shows the samples of all, each with the
label `process`, a number below 64 that a process leaves to its successor. No label names a project, a person
or an event, and none holds what a client sent.
"""
_TABLE: Final = """
## {process}

| metric | type | labels | meaning | look into it when |
|---|---|---|---|---|
"""


def metrics_page() -> str:
    """The page: a table for each process."""
    page = _HEAD
    for process, metrics in catalogue().items():
        page += _TABLE.format(process=process)
        for metric in metrics:
            labels = "; ".join(f"`{name}`: {values}" for name, values in metric.labels.items())
            page += f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} | {metric.watch} |\n"
    return page


if __name__ == "__main__":
    sys.stdout.write(metrics_page())
