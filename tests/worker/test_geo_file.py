"""Locations are read from a database in MaxMind's format."""

from pathlib import Path
from typing import Any

import pytest

from collector.domain.event.geo import Location
from collector.process.lifecycle import StartError
from tests.worker.place_database import place_database
from worker.geo_file import open_geo_file

BERLIN = {
    "country": {"iso_code": "DE", "names": {"en": "Germany"}},
    "subdivisions": [{"iso_code": "BE"}],
    "city": {"names": {"de": "Berlin", "en": "Berlin"}},
    "location": {"latitude": 52.520001, "longitude": 13.405},
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database in which 198.51.100.0/24 is in Berlin."""
    path = tmp_path / "places.mmdb"
    path.write_bytes(place_database("198.51.100.0/24", BERLIN))
    return path


def test_an_address_has_the_location_of_its_network(database: Path) -> None:
    """Coordinates to some ten metres, and names."""
    locations = open_geo_file(str(database))

    assert locations is not None
    assert locations.find("198.51.100.7") == Location(
        "52.52,13.405", {"country": "DE", "level1": "BE", "locality": "Berlin"}
    )
    assert locations.find("198.51.101.7") is None
    assert locations.find("2001:db8::1") is None


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"country": {"iso_code": "DE"}}, id="no coordinates"),
        pytest.param({"location": {"latitude": 1.5}}, id="half of them"),
        pytest.param({"location": "here"}, id="another type"),
        pytest.param(["DE"], id="not an object"),
    ],
)
def test_a_record_without_coordinates_is_no_location(tmp_path: Path, record: Any) -> None:
    """Databases of countries or networks have these."""
    path = tmp_path / "places.mmdb"
    path.write_bytes(place_database("198.51.100.0/24", record))
    locations = open_geo_file(str(path))

    assert locations is not None
    assert locations.find("198.51.100.7") is None


def test_without_a_file_there_are_no_locations() -> None:
    assert open_geo_file("") is None


@pytest.mark.parametrize("content", [None, b"", b"no database", b"\xab\xcd\xefMaxMind.com\x00"])
def test_an_invalid_file_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    """One line names the setting and the file."""
    path = tmp_path / "places.mmdb"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(
        StartError, match=r"^HEADRACE_GEOIP_FILE: .*places\.mmdb is not a location database"
    ) as raised:
        open_geo_file(str(path))

    assert "\n" not in str(raised.value)
