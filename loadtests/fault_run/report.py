"""The report of a fault run: JSON for tools, Markdown for people, and a time line of posts and faults.

The names of the JSON's members are fixed: other tools read them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from loadtests.benchmarks.machine import machine_facts
from loadtests.fault_run.auditor import Findings

_WIDTH: Final = 960
_HEIGHT: Final = 220
_MARGIN: Final = 40
_STEPS: Final = 300
"""Points of a line: more than that are added up."""


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault: when it began and ended, and when every ingest process accepted posts again, in seconds."""

    name: str
    began: float
    over: float
    recovered: float


@dataclass(slots=True)
class History:
    """What happened when, in seconds since the start: faults, and posts accepted by then."""

    faults: list[Injected] = field(default_factory=list)
    accepted: list[tuple[float, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a report says."""

    began_utc: datetime
    seconds: float
    drained_seconds: float
    seed: int
    revision: str
    findings: Findings
    audit_status: int
    refused_by_reason: dict[str, int]
    dropped_by_clients: int
    unseen_refusals: int
    history: History


def as_json(summary: Summary) -> bytes:
    """The figures; `unaccounted` are sums that do not add up, by our auditor or by `headrace audit`."""
    return msgspec.json.format(msgspec.json.encode(_figures(summary)), indent=2) + b"\n"


def as_markdown(summary: Summary, picture: str = "") -> str:
    """The figures as text, with a table of the kinds of faults; `picture` is the time line's file name."""
    figures = _figures(summary)
    kinds = [
        f"| {name} | {kind['count']} | {kind['longest_seconds_to_next_202']:.1f} s |"
        for name, kind in figures["kinds"].items()
    ]
    return "\n".join(
        [
            f"# Fault run of {summary.began_utc:%Y-%m-%d %H:%M} UTC",
            "",
            (
                f"{figures['faults']:,} faults over {figures['accepted_events']:,} accepted events in"
                f" {summary.seconds:,.0f} s; seed {summary.seed}, revision {summary.revision}."
            ),
            "",
            (
                f"**Lost {figures['lost']}, twice {figures['twice']}, altered {figures['altered']},"
                f" unaccounted {figures['unaccounted']}.**"
            ),
            "",
            *([f"![Posts accepted over time, with the faults]({picture})", ""] if picture else []),
            "| fault | count | longest until every ingest process accepted a post again |",
            "|---|---:|---:|",
            *kinds,
            "",
            f"After the last fault the queue was empty within {summary.drained_seconds:.0f} s.",
            f"Refused with 503: {sum(summary.refused_by_reason.values()):,} posts.",
            "",
            f"Again: `python -m loadtests.faults --seed {summary.seed} --seconds {summary.seconds:.0f}`",
            "",
        ]
    )


def as_picture(history: History, seconds: float) -> str:
    """An SVG of posts accepted a second, with a line at the start of each fault."""
    rates = _rates(history.accepted, seconds)
    most = max(rates, default=0.0) or 1.0
    step = _WIDTH / max(1, len(rates))
    line = " ".join(
        f"{_MARGIN + index * step:.1f},{_MARGIN + _HEIGHT * (1 - rate / most):.1f}"
        for index, rate in enumerate(rates)
    )
    scale = _WIDTH / max(seconds, 1.0)
    bars = [
        f'<rect x="{_MARGIN + fault.began * scale:.1f}" y="{_MARGIN}" height="{_HEIGHT}" width="1">'
        f"<title>{fault.name}</title></rect>"
        for fault in history.faults
    ]
    width, height = _WIDTH + 2 * _MARGIN, _HEIGHT + 2 * _MARGIN
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
                ' font-family="sans-serif" font-size="12">'
            ),
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="{_MARGIN}" y="24">posts accepted a second, at most {most:.0f}; faults in red</text>',
            '<g fill="#d33" fill-opacity="0.5">',
            *bars,
            "</g>",
            f'<polyline fill="none" stroke="#175" stroke-width="1.5" points="{line}"/>',
            f'<text x="{_MARGIN}" y="{height - 12}">0</text>',
            f'<text x="{_MARGIN + _WIDTH}" y="{height - 12}" text-anchor="end">{seconds:.0f} s</text>',
            "</svg>",
            "",
        ]
    )


def _figures(summary: Summary) -> dict[str, Any]:
    findings, history = summary.findings, summary.history
    kinds: dict[str, dict[str, Any]] = {}
    for fault in sorted(history.faults, key=lambda fault: fault.name):
        kind = kinds.setdefault(fault.name, {"count": 0, "longest_seconds_to_next_202": 0.0})
        kind["count"] += 1
        longest = max(kind["longest_seconds_to_next_202"], fault.recovered - fault.over)
        kind["longest_seconds_to_next_202"] = round(longest, 2)
    return {
        "began_utc": summary.began_utc.isoformat(timespec="seconds"),
        "seconds": round(summary.seconds, 1),
        "seed": summary.seed,
        "revision": summary.revision,
        "faults": len(history.faults),
        "accepted_posts": findings.accepted,
        "accepted_events": findings.events_accepted,
        "lost": len(findings.lost),
        "twice": len(findings.twice),
        "altered": len(findings.altered),
        "unaccounted": len(findings.odd) + (summary.audit_status != 0),
        "outcomes": findings.outcomes,
        "audit_exit_status": summary.audit_status,
        "drained_seconds": round(summary.drained_seconds, 1),
        "refused_by_reason": summary.refused_by_reason,
        "dropped_by_clients": summary.dropped_by_clients,
        "refusals_that_did_not_show": summary.unseen_refusals,
        "kinds": kinds,
        "machine": dict(machine_facts()),
    }


def _rates(accepted: Sequence[tuple[float, int]], seconds: float) -> list[float]:
    """Posts a second in each of equal steps of the run."""
    step = max(1.0, seconds / _STEPS)
    counts = [0] * (int(seconds / step) + 1)
    before = 0
    for moment, number in accepted:
        counts[min(len(counts) - 1, int(moment / step))] += number - before
        before = number
    return [count / step for count in counts]
