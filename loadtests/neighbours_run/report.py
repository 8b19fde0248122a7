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
    refused: int = 0
    unread: int = 0
    attacks: int = 0
    sent_bytes: int = 0
    disk_bytes: int = 0
    memory_bytes: dict[str, int] = field(default_factory=dict)

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
    lines = [
        "| beside | 202 p99 | readable p99 | search p99 | refused | attacks | disk a byte | memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, result in results.items():
        memory = ", ".join(f"{kind} {used // MEGABYTE}" for kind, used in sorted(result.memory_bytes.items()))
        disk = f"{result.disk_bytes / result.sent_bytes:,.1f}" if result.sent_bytes else ""
        lines.append(
            f"| {name} | {_ms(result.accepted)} | {_ms(result.readable)} | {_ms(result.searches)}"
            f" | {result.refused_share:.1%} | {result.attacks:,} | {disk} | {memory} |"
        )
    return "\n".join(lines)


def _ms(seconds: Sequence[float]) -> str:
    return f"{p99(seconds) * 1000:,.0f} ms"
