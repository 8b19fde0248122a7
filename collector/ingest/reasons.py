"""Which reasons for refusing posts hold now: posts, readiness, metrics and the landing page ask here.

Reasons begin and end when something is found out, not when a post asks: for a post `refuses` is one look at
an attribute. Each beginning and each end is one line in the log.
"""

from collections.abc import Callable
from typing import Final

import structlog

from collector.domain.errors import Refusal, Unavailable
from collector.domain.reasons import REASONS, STOPPING, Reason, explain_reason
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

NOTED_SECONDS: Final = 5.0
"""How long a reason that shows only in single refusals counts after the last one: it must not flutter."""

_BY_SENTENCE: Final = {reason.sentence: reason for reason in REASONS}

_log = structlog.get_logger()


class Reasons:
    """The reasons that hold, of a list that is bounded by what there are."""

    def __init__(self, clock: Clock, metrics: IngestMetrics) -> None:
        self.refuses = False
        """Whether every post is refused now."""
        self._clock = clock
        self._metrics = metrics
        self._held: dict[Reason, str] = {}
        self._noted: dict[Reason, tuple[float, str]] = {}
        self._told: set[Reason] = set()
        self._waits: dict[Reason, Callable[[], int]] = {}
        for reason in REASONS:
            metrics.refusing.labels(reason.name).set(0)

    def put(self, reason: Reason, problem: str | None) -> None:
        """The reason holds from now on, with this detail for operators, or does not hold (None)."""
        if problem is not None:
            self._held[reason] = problem
        else:
            self._held.pop(reason, None)
        self._settle(reason)

    def note(self, reason: Reason, detail: str = "") -> None:
        """A post was refused for it: it holds for a while, or until `forget`."""
        self._noted[reason] = (self._clock.monotonic() + NOTED_SECONDS, detail)
        self._settle(reason)

    def observer(self, refusal: Refusal) -> None:
        """Note the reason of a refusal that nobody has found out otherwise, such as a look-up that failed."""
        reason = _BY_SENTENCE.get(refusal.title)
        if reason is not None and not self.holds(reason):
            self.note(reason)

    def forget(self, reason: Reason) -> None:
        """What `note` was told is over: a post was taken where it would have been refused."""
        if self._noted.pop(reason, None) is not None:
            self._settle(reason)

    def expire(self) -> None:
        """Forget what was noted long enough ago; to be called now and then."""
        now = self._clock.monotonic()
        for reason, (until, _) in list(self._noted.items()):
            if now >= until:
                self.forget(reason)

    def wait_for(self, reason: Reason, seconds: Callable[[], int]) -> None:
        """Who knows how long a reason will hold tells it as `Retry-After`."""
        self._waits[reason] = seconds

    def holds(self, reason: Reason) -> bool:
        """Whether it does."""
        return reason in self._held or reason in self._noted

    def problem(self, reason: Reason) -> str | None:
        """What an operator is told while the reason holds."""
        if reason in self._held:
            return explain_reason(reason, self._held[reason])
        return explain_reason(reason, self._noted[reason][1]) if reason in self._noted else None

    def refusal(self, reason: Reason) -> Unavailable:
        """What a post is refused with that cannot be taken for this reason."""
        wait = self._waits.get(reason)
        seconds = reason.retry_after_seconds if wait is None else wait()
        return Unavailable(reason.sentence, retry_after_seconds=seconds)

    def check(self) -> None:
        """Raise Unavailable while no post is taken."""
        if self.refuses:
            raise self.refusal(next(each for each in REASONS if each.refuses_all and self.holds(each)))

    def _settle(self, reason: Reason) -> None:
        holds = self.holds(reason)
        if holds == (reason in self._told):
            return
        log = _log.info if reason is STOPPING else _log.warning
        if holds:
            self._told.add(reason)
            log("posts are refused", reason=reason.name, problem=self.problem(reason))
        else:
            self._told.discard(reason)
            log("a reason for refusing posts is over", reason=reason.name)
        self._metrics.refusing.labels(reason.name).set(int(holds))
        self.refuses = any(each.refuses_all for each in self._told)
