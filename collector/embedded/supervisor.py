"""The children of one `headrace up`: records them, reports their restarts, and keeps the ready file true."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from collector.embedded.child import Child
from collector.embedded.console import Console
from collector.embedded.managed_process import ManagedProcess, RestartPolicy
from collector.embedded.orphans import ProcessRecord
from collector.embedded.ready_file import ReadyFile
from collector.embedded.service import Service
from collector.process.clock import Clock

VALKEY: Final = "valkey"
POSTGRES: Final = "postgres"
INGEST: Final = "ingest"
WORKER: Final = "worker"


class Supervisor:
    """The managed processes by kind. As their observer it records, reports and publishes each change."""

    def __init__(
        self, record: ProcessRecord, ready_paths: Sequence[Path], console: Console, clock: Clock
    ) -> None:
        self._record = record
        self._ready_paths = ready_paths
        self._console = console
        self._clock = clock
        self._processes: dict[str, list[ManagedProcess]] = {}
        self._published: ReadyFile | None = None

    def manage(
        self, kind: str, services: Sequence[Service], restart_policy: RestartPolicy | None = None
    ) -> list[ManagedProcess]:
        """Create the managed processes of one kind; they do not run yet."""
        self._processes[kind] = [
            ManagedProcess(service, self, self._clock, restart_policy) for service in services
        ]
        return self._processes[kind]

    def pids(self) -> dict[str, list[int]]:
        """The process ids by role. An ingest process serves both ingest and api."""
        ingest = self._pids_of(INGEST)
        return {
            "ingest": ingest,
            "api": ingest,
            "worker": self._pids_of(WORKER),
            "valkey": self._pids_of(VALKEY),
            "postgres": self._pids_of(POSTGRES),
        }

    def publish(self, ready: ReadyFile) -> None:
        """Write the ready file to all its paths, and rewrite it after each restart from now on."""
        self._published = msgspec.structs.replace(ready, pids=self.pids())
        for path in self._ready_paths:
            try:
                self._published.write(path)
            except OSError as error:
                self._console.log(f"{path} cannot be written: {error.strerror}.")

    def withdraw(self) -> None:
        """Remove the ready file before the processes stop."""
        self._published = None
        for path in self._ready_paths:
            path.unlink(missing_ok=True)

    def started(self, service: Service, child: Child) -> None:
        """Record the child, so that a later `up` can stop it if this one is killed."""
        try:
            self._record.note(service.name, child)
        except OSError as error:
            self._console.log(f"{service.name} could not be recorded: {error.strerror}.")

    def waits(self, service: Service, readiness_problem: str) -> None:
        """Report what the process waits for: the user may be able to help."""
        self._console.log(f"{service.name} is not ready yet: {readiness_problem}.")

    def restarted(self, service: Service, reason: str, seconds: float) -> None:
        """Report the restart, and publish the new process id."""
        self._console.log(f"{service.name} was restarted in {seconds:.1f} s ({reason}).")
        if self._published is not None:
            self.publish(self._published)

    def not_restarted(self, service: Service, problem: str) -> None:
        """Report the failed restart."""
        self._console.log(f"{service.name} could not be restarted yet: {problem}.")

    def _pids_of(self, kind: str) -> list[int]:
        return [managed.pid for managed in self._processes.get(kind, []) if managed.pid is not None]
