"""The active reasons for refusing posts, for posts, readiness, metrics and the landing page.

Checks elsewhere set and clear reasons, so that a post reads only the attribute `refuses`. Each time a reason
becomes active or inactive, one line is logged.
"""

from collections.abc import Callable
from typing import Final

import structlog

from collector.domain.errors import Refusal, Unavailable
from collector.domain.reasons import REASONS, STOPPING, Reason, explain_reason
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

NOTED_SECONDS: Final = 5.0
"""How long a reason that is known from single refusals stays active after the last one."""

_BY_SENTENCE: Final = {reason.sentence: reason for reason in REASONS}

_log = structlog.get_logger()


class Reasons:
    """The active reasons; bounded, because all reasons are in `REASONS`."""

    def __init__(self, clock: Clock, metrics: IngestMetrics) -> None:
        self.refuses = False
        """Whether every post is refused at the moment."""
        self._clock = clock
        self._metrics = metrics
        self._set: dict[Reason, str] = {}
        self._noted: dict[Reason, tuple[float, str]] = {}
        self._active: set[Reason] = set()
        self._waits: dict[Reason, Callable[[], int]] = {}
        for reason in REASONS:
            metrics.refusing.labels(reason.name).set(0)

    def put(self, reason: Reason, problem: str | None) -> None:
        """Set the reason, with a detail for operators, or clear it (None)."""
        if problem is not None:
            self._set[reason] = problem
        else:
            self._set.pop(reason, None)
        self._settle(reason)

    def note(self, reason: Reason, detail: str = "") -> None:
        """Activate the reason for a while, or until `forget`: a post was refused for it."""
        self._noted[reason] = (self._clock.monotonic() + NOTED_SECONDS, detail)
        self._settle(reason)

    def note_refusal(self, refusal: Refusal) -> None:
        """Note the reason of a refusal that no check has found, such as a failed look-up."""
        reason = _BY_SENTENCE.get(refusal.title)
        if reason is not None and not self.holds(reason):
            self.note(reason)

    def forget(self, reason: Reason) -> None:
        """End what `note` has activated: a post was accepted that this reason would have refused."""
        if self._noted.pop(reason, None) is not None:
            self._settle(reason)

    def expire(self) -> None:
        """Forget what was noted long enough ago; call it regularly."""
        now = self._clock.monotonic()
        for reason, (until, _) in list(self._noted.items()):
            if now >= until:
                self.forget(reason)

    def set_retry_after(self, reason: Reason, seconds: Callable[[], int]) -> None:
        """Let `seconds` decide the `Retry-After` of the reason."""
        self._waits[reason] = seconds

    def holds(self, reason: Reason) -> bool:
        """Whether the reason is active."""
        return reason in self._set or reason in self._noted

    def problem(self, reason: Reason) -> str | None:
        """The text about the reason for an operator, or None if it is not active."""
        if reason in self._set:
            return explain_reason(reason, self._set[reason])
        return explain_reason(reason, self._noted[reason][1]) if reason in self._noted else None

    def refusal(self, reason: Reason) -> Unavailable:
        """The refusal of a post for this reason."""
        wait = self._waits.get(reason)
        seconds = reason.retry_after_seconds if wait is None else wait()
        return Unavailable(reason.sentence, retry_after_seconds=seconds)

    def check(self) -> None:
        """Raise Unavailable while all posts are refused."""
        if self.refuses:
            raise self.refusal(next(each for each in REASONS if each.refuses_all and self.holds(each)))

    def _settle(self, reason: Reason) -> None:
        holds = self.holds(reason)
        if holds == (reason in self._active):
            return
        log = _log.info if reason is STOPPING else _log.warning
        if holds:
            self._active.add(reason)
            log("posts are refused", reason=reason.name, problem=self.problem(reason))
        else:
            self._active.discard(reason)
            log("a reason for refusing posts is over", reason=reason.name)
        self._metrics.refusing.labels(reason.name).set(int(holds))
        self.refuses = any(each.refuses_all for each in self._active)
