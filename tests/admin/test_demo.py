"""The events of `headrace demo`."""

from datetime import UTC, datetime, timedelta

import orjson

from collector.admin.demo import demo_events

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_the_same_seed_gives_the_same_events() -> None:
    assert list(demo_events(50, NOW, 1)) == list(demo_events(50, NOW, 1))
    assert list(demo_events(50, NOW, 1)) != list(demo_events(50, NOW, 2))


def test_events_are_in_order_and_young_enough_to_be_stored() -> None:
    dates = [datetime.fromisoformat(event["date"]) for event in demo_events(500, NOW, 1)]

    assert dates == sorted(dates)
    assert NOW - timedelta(days=3) < dates[0]
    assert dates[-1] <= NOW


def test_the_deployment_breaks_the_checkout() -> None:
    """Its error is rare before the new version and frequent with it."""
    events = list(demo_events(3000, NOW, 26))
    failed = [event["data"]["@version"] for event in events if "voucher" in event.get("tags", ())]

    assert failed.count("4.18.0") > 5 * failed.count("4.17.2")


def test_a_post_of_them_is_far_below_the_limit_of_a_body() -> None:
    events = list(demo_events(3000, NOW, 26))

    for start in range(0, len(events), 100):
        assert len(orjson.dumps(events[start : start + 100])) < 200_000
