"""Reasons for refusing posts: which hold, what is told of them, and when they are over."""

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
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """It stands still."""
    return FakeClock()


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where the gauge is."""
    return CollectorRegistry()


@pytest.fixture
def reasons(clock: FakeClock, registry: CollectorRegistry) -> Reasons:
    """None holds."""
    return Reasons(clock, IngestMetrics(registry))


def test_each_reason_has_a_name_and_a_sentence_of_its_own() -> None:
    """Names are the labels of a metric; the landing page cuts a sentence at its first colon."""
    assert len({reason.name for reason in REASONS}) == len({reason.sentence for reason in REASONS})
    assert all(reason.name.replace("_", "").isalpha() for reason in REASONS)
    assert not any(": " in reason.sentence for reason in REASONS)
    assert explain_reason(QUEUE_FULL, "why") == "The queue is full: why"


def test_the_first_of_several_reasons_refuses(reasons: Reasons) -> None:
    """With its own time to wait."""
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


def test_a_reason_that_does_not_concern_all_posts_refuses_none_by_itself(
    reasons: Reasons, registry: CollectorRegistry
) -> None:
    """Each finds out; but it is told."""
    reasons.put(TOKENS, "never swept")

    reasons.check()

    assert not reasons.refuses
    assert reasons.problem(TOKENS) == "The token projection is not fresh; is a worker running?: never swept"
    assert registry.get_sample_value("headrace_refusing", {"reason": "tokens"}) == 1
    assert registry.get_sample_value("headrace_refusing", {"reason": "clock"}) == 0


def test_what_shows_in_single_refusals_counts_for_a_while(reasons: Reasons, clock: FakeClock) -> None:
    """After the last one, or until a post is taken."""
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


def test_a_post_is_refused_for_no_reason_that_does_not_show(reasons: Reasons) -> None:
    """A token that could not be looked up tells of the queue before anybody has looked at it."""
    reasons.note_refusal(Unavailable(QUEUE_UNAVAILABLE.sentence))
    reasons.note_refusal(Unavailable("Something else."))

    assert [reason for reason in REASONS if reasons.holds(reason)] == [QUEUE_UNAVAILABLE]


def test_what_was_found_out_twice_is_over_only_when_both_are(reasons: Reasons) -> None:
    """A look at the queue and a write each have their say."""
    reasons.put(QUEUE_UNAVAILABLE, "no answer")
    reasons.note(QUEUE_UNAVAILABLE, "lost")
    reasons.forget(QUEUE_UNAVAILABLE)
    assert reasons.problem(QUEUE_UNAVAILABLE) == "The queue is unavailable: no answer"
    reasons.put(QUEUE_UNAVAILABLE, None)

    assert not reasons.holds(QUEUE_UNAVAILABLE)
