"""Reasons for refusing posts: which are active, what is shown of them, and when they end."""

import pytest
from prometheus_client import CollectorRegistry

from collector.domain.errors import Unavailable
from collector.domain.reasons import (
    DISK_SHORT,
    POSTS_WAITING,
    QUEUE_FULL,
    QUEUE_UNAVAILABLE,
    REASONS,
    TOKENS,
    explain_reason,
)
from collector.ingest.reasons import NOTED_SECONDS, Reasons
from collector.process.metrics import IngestMetrics
from tests.support.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def registry() -> CollectorRegistry:
    """The registry with the gauge."""
    return CollectorRegistry()


@pytest.fixture
def reasons(clock: FakeClock, registry: CollectorRegistry) -> Reasons:
    """No reason is active."""
    return Reasons(clock, IngestMetrics(registry))


def test_names_and_sentences_of_reasons_are_unique() -> None:
    """Names are the labels of a metric; the landing page cuts a sentence at its first colon."""
    assert len({reason.name for reason in REASONS}) == len({reason.sentence for reason in REASONS})
    assert all(reason.name.replace("_", "").isalpha() for reason in REASONS)
    assert not any(": " in reason.sentence for reason in REASONS)
    assert explain_reason(QUEUE_FULL, "why") == "The queue is full: why"


def test_of_several_reasons_the_first_decides_the_refusal(reasons: Reasons) -> None:
    """It has that reason's `Retry-After`."""
    reasons.put(DISK_SHORT, "little")
    reasons.put(QUEUE_FULL, "much")
    reasons.set_retry_after(QUEUE_FULL, lambda: 7)

    with pytest.raises(Unavailable, match=QUEUE_FULL.sentence) as first:
        reasons.check()
    reasons.put(QUEUE_FULL, None)
    with pytest.raises(Unavailable, match=DISK_SHORT.sentence) as second:
        reasons.check()
    reasons.put(DISK_SHORT, None)
    reasons.check()

    assert (first.value.retry_after_seconds, second.value.retry_after_seconds) == (7, 120)


def test_a_reason_that_does_not_refuse_all_posts_is_only_reported(
    reasons: Reasons, registry: CollectorRegistry
) -> None:
    """The readiness and the metric show it."""
    reasons.put(TOKENS, "never swept")

    reasons.check()

    assert not reasons.refuses
    assert reasons.problem(TOKENS) == "The token projection is not fresh; is a worker running?: never swept"
    assert registry.get_sample_value("headrace_refusing", {"reason": "tokens"}) == 1
    assert registry.get_sample_value("headrace_refusing", {"reason": "clock"}) == 0


def test_a_reason_known_from_refusals_stays_active_for_a_while(reasons: Reasons, clock: FakeClock) -> None:
    """After the last refusal, or until a post is accepted."""
    reasons.note(POSTS_WAITING)
    clock.advance(NOTED_SECONDS - 1)
    reasons.note(POSTS_WAITING)
    clock.advance(NOTED_SECONDS - 1)
    reasons.expire()
    assert reasons.holds(POSTS_WAITING)
    clock.advance(1)
    reasons.expire()
    assert not reasons.holds(POSTS_WAITING)

    reasons.note(QUEUE_UNAVAILABLE, "BUSY")
    reasons.forget(QUEUE_UNAVAILABLE)
    assert reasons.problem(QUEUE_UNAVAILABLE) is None


def test_a_refusal_activates_its_reason(reasons: Reasons) -> None:
    """A failed look-up shows that the queue is unavailable before the next check does."""
    reasons.note_refusal(Unavailable(QUEUE_UNAVAILABLE.sentence))
    reasons.note_refusal(Unavailable("Something else."))

    assert [reason for reason in REASONS if reasons.holds(reason)] == [QUEUE_UNAVAILABLE]


def test_a_reason_found_by_a_check_and_a_refusal_ends_when_both_end(reasons: Reasons) -> None:
    """A check of the queue and a failed write are independent."""
    reasons.put(QUEUE_UNAVAILABLE, "no answer")
    reasons.note(QUEUE_UNAVAILABLE, "lost")
    reasons.forget(QUEUE_UNAVAILABLE)
    assert reasons.problem(QUEUE_UNAVAILABLE) == "The queue is unavailable: no answer"
    reasons.put(QUEUE_UNAVAILABLE, None)

    assert not reasons.holds(QUEUE_UNAVAILABLE)
