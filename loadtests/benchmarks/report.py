"""The result of a benchmark: figures and goals, as Markdown for people and JSON for programs. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from loadtests.benchmarks.slices import Pair, Spread, spread


class Goal(msgspec.Struct, frozen=True):
    """Where the median of the ratios should be."""

    ratio: float
    is_ceiling: bool = False

    def is_met(self, ratio: float) -> bool:
        """Whether this ratio is good enough."""
        return ratio <= self.ratio if self.is_ceiling else ratio >= self.ratio

    def __str__(self) -> str:
        """How people write it."""
        return f"{'at most' if self.is_ceiling else 'at least'} {self.ratio:g}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. `unit` is that of each slice's figure; the ratios have none."""

    name: str
    against: str
    unit: str
    pairs: Sequence[Pair]
    goal: Goal | None = None
    notes: Sequence[str] = ()

    @property
    def ratio(self) -> Spread:
        """How the ratios of neighbouring slices spread."""
        return spread([pair.ratio for pair in self.pairs])

    @property
    def verdict(self) -> str:
        """Whether the goal was met, if there is one."""
        if self.goal is None:
            return "no goal"
        return "met" if self.goal.is_met(self.ratio.median) else "MISSED"


class Report(msgspec.Struct, frozen=True):
    """A whole run: when, where, how, and its figures."""

    began_utc: datetime
    seconds: float
    machine: Mapping[str, str]
    settings: Mapping[str, str]
    figures: Sequence[Figure]


def as_json(report: Report) -> bytes:
    """Everything, each pair of slices included."""
    figures = [msgspec.to_builtins(figure) | _judged(figure) for figure in report.figures]
    return msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(report) | {"figures": figures}))


def as_markdown(report: Report) -> str:
    """The ratios, then the absolute figures, then what they were measured on."""
    lines = [
        f"# Benchmark of {report.began_utc:%Y-%m-%d %H:%M} UTC",
        "",
        "Each ratio is the median (and the quartiles) over pairs of neighbouring slices.",
        "",
        "| what | against | ratio | quartiles | pairs | goal | |",
        "|---|---|---|---|---|---|---|",
        *map(_ratio_row, report.figures),
        "",
        "Absolute medians move with the machine's speed from minute to minute; only ratios mean anything.",
        "",
        "| what | it | the other | unit |",
        "|---|---|---|---|",
        *map(_absolute_row, report.figures),
        "",
        *(f"- {figure.name}: {'; '.join(figure.notes)}" for figure in report.figures if figure.notes),
        "",
        "| machine and settings | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in {**report.machine, **report.settings}.items()),
        f"| duration | {report.seconds:.0f} s |",
        "",
    ]
    return "\n".join(lines)


def _judged(figure: Figure) -> dict[str, object]:
    return {"ratio": msgspec.to_builtins(figure.ratio), "verdict": figure.verdict}


def _ratio_row(figure: Figure) -> str:
    ratio, goal = figure.ratio, figure.goal or ""
    quartiles = f"{ratio.lower:.2f} to {ratio.upper:.2f}"
    return (
        f"| {figure.name} | {figure.against} | **{ratio.median:.2f}** | {quartiles} | {len(figure.pairs)} "
        f"| {goal} | {figure.verdict} |"
    )


def _absolute_row(figure: Figure) -> str:
    subject = spread([pair.subject for pair in figure.pairs]).median
    reference = spread([pair.reference for pair in figure.pairs]).median
    return f"| {figure.name} | {subject:,.0f} | {reference:,.0f} | {figure.unit} |"
