"""The result of a benchmark: figures and goals, as Markdown for people and JSON for programs. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape

import msgspec

from loadtests.benchmarks.slices import Pair, Spread, spread

_LEFT: Final = 300
_PLOT: Final = 480
_TOP: Final = 30
_ROW: Final = 26
"""Of the picture, in its own units."""
_SHORT_AXIS: Final = 2.0


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
    events_each: int = 0
    """How many events one of its units has, if these are posts a second."""
    p99_ms: tuple[float, float] | None = None
    """Median p99 of the answers in its slices and in those of the other, where they were measured."""

    @property
    def rates(self) -> tuple[float, float]:
        """The medians of its slices and of the other's, in its unit."""
        return (
            spread([pair.subject for pair in self.pairs]).median,
            spread([pair.reference for pair in self.pairs]).median,
        )

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
        *summary(report),
        "",
        "## The comparisons",
        "",
        "Each ratio is the median (and the quartiles) over pairs of neighbouring slices.",
        "",
        "| what | against | ratio | quartiles | pairs | goal | |",
        "|---|---|---|---|---|---|---|",
        *map(_ratio_row, report.figures),
        "",
        "Absolute medians move with the machine's speed from minute to minute; only ratios mean anything.",
        "",
        "| what | it | the other | unit | p99 ms | of the other |",
        "|---|---|---|---|---|---|",
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


def summary(report: Report) -> list[str]:
    """What an operator wants to know first: how much this machine takes, and which goals it met."""
    lines = []
    for figure in report.figures:
        if figure.events_each and figure.p99_ms:
            rate = figure.rates[0]
            lines.append(
                f"- **{rate * figure.events_each:,.0f} events a second** accepted by one ingest process"
                f" ({figure.name}: {rate:,.0f} posts a second, p99 {figure.p99_ms[0]:,.1f} ms)."
            )
    for figure in report.figures:
        if figure.goal is None:
            continue
        # What used how much processor time says what the limit was.
        efforts = [note for note in figure.notes if " used " in note or "CPU" in note]
        reason = f"; {efforts[0]}" if efforts and figure.verdict == "MISSED" else ""
        lines.append(
            f"- {figure.verdict.capitalize()}: {figure.name}, {figure.ratio.median:.2f} times"
            f" {figure.against}; the goal is {figure.goal}{reason}."
        )
    return ["What this machine did, in the minutes of the run:", "", *lines] if lines else []


def as_svg(report: Report) -> str:
    """The ratios as a picture: a bar from quartile to quartile, the median, and the goal as a line."""
    figures = report.figures
    most = max(
        [1.0, *(max(figure.ratio.upper, figure.goal.ratio if figure.goal else 0) for figure in figures)]
    )
    scale = _PLOT / (most * 1.05)
    height = _TOP + _ROW * len(figures) + _ROW
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _PLOT + 20} {height}"'
            ' font-family="system-ui, sans-serif" font-size="12">'
        ),
        '<rect width="100%" height="100%" fill="#fff"/>',
        (
            f'<text x="8" y="18" font-weight="bold">Ratios of {report.began_utc:%Y-%m-%d %H:%M} UTC:'
            " median, quartiles, goal</text>"
        ),
    ]
    for row, figure in enumerate(figures):
        y, ratio = _TOP + _ROW * row, figure.ratio
        colour = "#b3261e" if figure.verdict == "MISSED" else "#1b6e3c"
        parts += [
            f'<text x="8" y="{y + 16}">{escape(figure.name)}</text>',
            (
                f'<rect x="{_LEFT + ratio.lower * scale:.1f}" y="{y + 5}" height="14"'
                f' width="{max(1.0, (ratio.upper - ratio.lower) * scale):.1f}" fill="{colour}"'
                ' opacity="0.3"/>'
            ),
            f'<circle cx="{_LEFT + ratio.median * scale:.1f}" cy="{y + 12}" r="4" fill="{colour}"/>',
            (
                f'<text x="{_LEFT + max(ratio.upper, ratio.median) * scale + 8:.1f}" y="{y + 16}"'
                f' fill="{colour}">{ratio.median:.2f}</text>'
            ),
        ]
        if figure.goal is not None:
            x = _LEFT + figure.goal.ratio * scale
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y + 1}" y2="{y + 23}" stroke="#555"/>')
    base = _TOP + _ROW * len(figures)
    parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + _PLOT}" y1="{base}" y2="{base}" stroke="#999"/>')
    for tenth in range(0, int(most * 10) + 1, 2 if most <= _SHORT_AXIS else 5):
        x = _LEFT + tenth / 10 * scale
        parts.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{tenth / 10:g}</text>')
    return "\n".join([*parts, "</svg>", ""])


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
    subject, reference = figure.rates
    p99 = [f"{each:,.1f}" for each in figure.p99_ms or ()] or ["", ""]
    return f"| {figure.name} | {subject:,.0f} | {reference:,.0f} | {figure.unit} | {' | '.join(p99)} |"
