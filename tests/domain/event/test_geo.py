"""Where events happened, according to their addresses."""

import json
from typing import Any

import pytest

from collector.domain.event.build import Sender, build_event
from collector.domain.event.geo import Location
from collector.domain.event.outcome import Event
from collector.domain.intake.normalize import normalize, rules_from_settings
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules
from tests.support.factories import a_post

BERLIN = Location("52.52,13.405", {"country": "DE", "locality": "Berlin"})
KNOWN = {
    "203.0.113.7": Location("1.0,2.0", {"country": "SENDER"}),
    "198.51.100.1": BERLIN,
    "2001:db8::1": BERLIN,
}


class KnownLocations:
    """The locations of a few addresses."""

    def find(self, address: str) -> Location | None:
        return KNOWN.get(address)


def located(raw: dict[str, Any], project: ProjectRules = DEFAULT_RULES) -> tuple[str | None, Any]:
    """Coordinates and location in the row of a raw event that was sent from 203.0.113.7."""
    event = build_event(raw, 0, Sender.of(a_post()), None, project, KnownLocations())
    assert isinstance(event, Event)
    return event.geo, json.loads(event.data or b"").get("@location")


@pytest.mark.parametrize(
    ("raw", "country"),
    [
        pytest.param({}, "SENDER", id="the sender's address"),
        pytest.param({"geo": "198.51.100.1"}, "DE", id="an address for a place"),
        pytest.param({"geo": " 2001:db8::1 "}, "DE", id="of the newer kind"),
        pytest.param(
            {"@request": {"client_ip_address": "10.0.0.1, 198.51.100.1"}}, "DE", id="one of the request's"
        ),
        pytest.param({"@environment": {"ip_address": "198.51.100.1"}}, "DE", id="the machine's"),
        pytest.param({"geo": "nowhere"}, "SENDER", id="an invalid location"),
        pytest.param({"geo": "x" * 100, "@request": {"client_ip_address": 5}}, "SENDER", id="garbage"),
        pytest.param(
            {"@request": {"client_ip_address": "10.0.0.1," * 1000}}, None, id="many that are unknown"
        ),
    ],
)
def test_the_first_address_with_a_location_counts(raw: dict[str, Any], country: str | None) -> None:
    """Addresses of the event itself come first."""
    _, location = located(raw)

    assert (location or {}).get("country") == country


def test_coordinates_of_the_sender_are_kept() -> None:
    """Nothing is looked up."""
    assert located({"geo": "40.5,-74.25"}) == ("40.5,-74.25", None)
    assert located({"geo": "198.51.100.1"}) == BERLIN


def test_a_project_without_private_information_has_no_locations() -> None:
    """No address is looked up."""
    project = ProjectRules({"@@IncludePrivateInformation": "false"})

    assert located({"geo": "198.51.100.1"}, project) == (None, None)


def test_locations_are_looked_up_for_ordinary_events_too() -> None:
    """With a configured database, no event takes the fast path."""
    rules = rules_from_settings(200_000, 0, KnownLocations())

    (event,) = normalize(a_post(), rules).results

    assert isinstance(event, Event)
    assert event.geo == "1.0,2.0"
