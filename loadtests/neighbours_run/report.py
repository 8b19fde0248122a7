"""What the victim measured beside each attacker, as a table, and the goals. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MEGABYTE = 1 << 20


@dataclass(slots=True)
class Result:
    """The victim's times in seconds, its answers, and what the attacker sent and cost."""

    accepted: list[float] = field(default_factory=list)
    readable: list[float] = field(default_factory=list)
    searches: list[float] = field(default_factory=list)
    searches_refused: int = 0
    refused: int = 0
    unread: int = 0
    attacks: int = 0
    sent_bytes: int = 0
    disk_bytes: int = 0
    memory_bytes: dict[str, int] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)
    """Processor time a second of each kind of process."""
    answers: dict[int, int] = field(default_factory=dict)
    """What the attacker was answered, by status; 0 for lost connections."""

    @property
    def refused_share(self) -> float:
        """The share of the victim's posts that were not accepted."""
        return self.refused / max(1, self.refused + len(self.accepted))


@dataclass(frozen=True, slots=True)
class Goals:
    """What an attacker may cost: milliseconds more for a 202, milliseconds until readable, share refused."""

    accepted_ms: float
    readable_ms: float
    refused: float

    def are_met(self, alone: Result, result: Result) -> bool:
        """Whether the result is within the goals."""
        return (
            p99(result.accepted) - p99(alone.accepted) <= self.accepted_ms / 1000
            and p99(result.readable) <= self.readable_ms / 1000
            and result.refused_share <= self.refused
            and not result.unread
        )


def p99(seconds: Sequence[float]) -> float:
    """The value that one in a hundred exceeds; 0 of nothing."""
    return sorted(seconds)[min(len(seconds) - 1, len(seconds) * 99 // 100)] if seconds else 0.0


def table(results: Mapping[str, Result]) -> str:
    """The results in Markdown; memory is the most that each kind of process had."""
    first = "beside | 202 p99 | readable p99 | search p99 | refused | searches refused | attacks"
    lines = [
        f"| {first} | disk a byte | memory, MB | cores |",
        f"|---|{'---:|' * 7}---|---|",
    ]
    for name, result in results.items():
        memory = ", ".join(f"{kind} {used // MEGABYTE}" for kind, used in sorted(result.memory_bytes.items()))
        cores = ", ".join(f"{kind} {used:.1f}" for kind, used in sorted(result.cores.items()))
        disk = f"{result.disk_bytes / result.sent_bytes:,.1f}" if result.sent_bytes else ""
        cells = [
            name,
            *(_ms(seconds) for seconds in (result.accepted, result.readable, result.searches)),
            *(f"{result.refused_share:.1%}", f"{result.searches_refused}", f"{result.attacks:,}"),
            *(disk, memory, cores),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ms(seconds: Sequence[float]) -> str:
    return f"{p99(seconds) * 1000:,.0f} ms"
