"""Services written as one line of shell: real processes, small enough to die on demand."""

from dataclasses import dataclass, field
from pathlib import Path

from collector.embedded.child import Child, Program
from collector.embedded.service import Service

SERVES = "echo up; exec sleep 60"


@dataclass
class ShellService:
    """It is ready once it says "up". `script` may be changed between starts."""

    directory: Path
    script: str = SERVES
    name: str = "shell"
    stop_seconds: float = 5.0

    async def prepare(self) -> Program:
        return Program(
            arguments=("/bin/sh", "-c", self.script),
            environ={"PATH": "/usr/bin:/bin"},
            log=self.directory / f"{self.name}.log",
            stop_seconds=self.stop_seconds,
        )

    async def readiness_problem(self, child: Child) -> str | None:
        return None if "up" in child.last_lines() else "it has not said so"


@dataclass
class Notebook:
    """An observer that records everything."""

    children: dict[str, list[Child]] = field(default_factory=dict)
    restarts: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    readiness_problems: list[str] = field(default_factory=list)

    def started(self, service: Service, child: Child) -> None:
        self.children.setdefault(service.name, []).append(child)

    def waits(self, _service: Service, readiness_problem: str) -> None:
        self.readiness_problems.append(readiness_problem)

    def restarted(self, service: Service, reason: str, seconds: float) -> None:
        assert seconds >= 0
        self.restarts.append((service.name, reason))

    def not_restarted(self, _service: Service, problem: str) -> None:
        self.problems.append(problem)
