"""What a post may cost for its size, and what ingest estimates without parsing every post."""

import gzip
import sys
from typing import Any

import pytest

from collector.domain.event.outcome import DeadLetter, DeadLetterReason
from collector.domain.intake.cost import (
    ALWAYS_ALLOWED_EVENTS,
    MAXIMUM_EVENTS_PER_POST,
    estimated_events,
    most_events,
    potential_events,
)
from collector.domain.intake.normalize import normalize, rules_from_settings
from tests.support.factories import a_post

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RULES = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=3)


def test_some_dozen_bytes_do_not_become_a_hundred_thousand_rows() -> None:
    """They are one dead letter, which holds those bytes."""
    body = zstd.compress(b"[" + b"{}," * 99_999 + b"{}]")
    assert len(body) < 50

    (letter,) = normalize(a_post(body=body, content_encoding="zstd"), RULES).results

    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.body) == (DeadLetterReason.TOO_MANY_EVENTS, body)


def test_what_real_clients_send_is_allowed() -> None:
    """Hundreds of events, even identical ones, and two megabytes unpacked."""
    many = gzip.compress(b"[" + b",".join([b'{"type":"log","message":"hello"}'] * 900) + b"]")
    large = gzip.compress(b"[" + b",".join([b'{"data":{"text":"%s"}}' % (b"x" * 1_990)] * 990) + b"]")

    for body, number in ((many, 900), (large, 990)):
        results = normalize(a_post(body=body, content_encoding="gzip"), RULES).results
        assert len(results) == number
        assert not any(isinstance(result, DeadLetter) for result in results)


@pytest.mark.parametrize(
    ("sent_bytes", "events"),
    [(0, ALWAYS_ALLOWED_EVENTS), (40_000, 10_000), (10_000_000, MAXIMUM_EVENTS_PER_POST)],
)
def test_a_larger_post_may_hold_more_events_up_to_a_bound(sent_bytes: int, events: int) -> None:
    """Its size as sent counts."""
    assert most_events(sent_bytes) == events


def test_a_post_that_is_not_compressed_holds_an_event_for_two_bytes_at_most() -> None:
    """A compressed one as many as it may."""
    assert potential_events(430, "") == 216
    assert potential_events(430, "gzip") == ALWAYS_ALLOWED_EVENTS
    assert potential_events(100_000, "") == most_events(100_000)


@pytest.mark.parametrize(
    ("members", "events"),
    [
        pytest.param({"body": b'{"message":"hello","data":{"a":{}}}'}, 1, id="one event"),
        pytest.param({"body": b'[{"a":{}},{},null]'}, 3, id="an array"),
        pytest.param({"body": b"a\nb\r\nc"}, 4, id="lines"),
        pytest.param({"body": b"{\na\na\n}"}, 4, id="lines between braces"),
        pytest.param({"body": "[{},{}]".encode("utf-16")}, 2, id="JSON for the slow path"),
        pytest.param({"body": b'{"message":"%s"}' % (b"x" * 16_000)}, 10, id="bytes"),
        pytest.param(
            {"body": gzip.compress(b"[" + b"{}," * 700 + b"{}]"), "content_encoding": "gzip"}, 701, id="gzip"
        ),
        pytest.param(
            {"body": gzip.compress(b"a\n" * 90_000), "content_encoding": "gzip"}, 1000, id="more than allowed"
        ),
        pytest.param(
            {"body": gzip.compress(b"x" * 1_900_000), "content_encoding": "gzip"},
            1000,
            id="too long to count",
        ),
        pytest.param({"body": b"not gzip", "content_encoding": "gzip"}, 1000, id="corrupt"),
        pytest.param(
            {"body": b"%" * 800, "content_type": "text/plain; charset=cp037"}, 1000, id="another charset"
        ),
    ],
)
def test_the_events_of_a_post_are_estimated(members: dict[str, Any], events: int) -> None:
    """Never far too low: a sender would profit from it."""
    assert estimated_events(a_post(**members)) == events
