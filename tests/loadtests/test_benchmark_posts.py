"""A benchmark's posts are stored as they are, each event different."""

from datetime import UTC, datetime

import orjson
import pytest

from collector.domain.event.outcome import Event
from collector.domain.intake.normalize import normalize, rules_from_settings
from loadtests.benchmarks.posts import Maker, a_log, an_error, posts
from tests.support.factories import ACCEPTED_MS, a_post

ACCEPTED = datetime.fromtimestamp(ACCEPTED_MS / 1000, UTC)
KINDS = [pytest.param(a_log, 340, 460, id="logs"), pytest.param(an_error, 5_000, 7_000, id="errors")]


@pytest.mark.parametrize(("make", "at_least", "at_most"), KINDS)
def test_every_event_is_stored_as_it_was_sent(make: Maker, at_least: int, at_most: int) -> None:
    """A benchmark of dead letters or discards would be too fast."""
    [body] = posts(make, 1, 10, ACCEPTED)

    found = normalize(a_post(body=body), rules_from_settings(200_000, 3)).results

    events = [event for event in found if isinstance(event, Event)]
    assert len(events) == len(found) == 10
    sent = orjson.loads(body)
    assert [event.reference_id for event in events] == [event["reference_id"] for event in sent]
    assert [event.type for event in events] == [event["type"] for event in sent]
    assert at_least < len(body) / 10 < at_most


@pytest.mark.parametrize(("make", "_at_least", "_at_most"), KINDS)
def test_no_two_events_are_alike_and_every_run_has_the_same(
    make: Maker, _at_least: int, _at_most: int
) -> None:
    """Equal events would compress to nothing in the queue and be duplicates in the store."""
    bodies = posts(make, 200, 1, ACCEPTED)

    assert len({orjson.loads(body)["reference_id"] for body in bodies}) == 200
    assert bodies == posts(make, 200, 1, ACCEPTED)


def test_a_single_event_is_an_object_and_several_are_an_array() -> None:
    """As clients send them. Each is one line, because senders read a file of lines."""
    [one], [many] = posts(a_log, 1, 1, ACCEPTED), posts(a_log, 1, 3, ACCEPTED)

    assert isinstance(orjson.loads(one), dict)
    assert len(orjson.loads(many)) == 3
    assert b"\n" not in one + many
