"""The file of places that `HEADRACE_GEOIP_FILE` names: a database of MaxMind's format with cities."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import maxminddb
import msgspec

from collector.domain.event.geo import Location
from collector.process.lifecycle import StartError

_KNOWN_ADDRESSES: Final = 4096
_LANGUAGE: Final = "en"


class _Named(msgspec.Struct):
    iso_code: str | None = None
    names: dict[str, str] = {}


class _Location(msgspec.Struct):
    latitude: float
    longitude: float


class _Record(msgspec.Struct):
    location: _Location
    country: _Named | None = None
    subdivisions: list[_Named] = []
    city: _Named | None = None


class GeoFile:
    """Finds places in a file that stays open; one that replaces it is read after the next start."""

    def __init__(self, get: Callable[[str], Any]) -> None:
        self._get = get
        self.find: Final = lru_cache(maxsize=_KNOWN_ADDRESSES)(self._find)

    def _find(self, address: str) -> Location | None:
        try:
            return _place(self._get(address))
        except (ValueError, maxminddb.InvalidDatabaseError):  # of the other family; a broken record
            return None


def open_geo_file(path: str) -> GeoFile | None:
    """The places of a file; None for no path. Raises StartError for a file that cannot be read."""
    if not path:
        return None
    try:
        reader = maxminddb.open_database(path)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise StartError(f"HEADRACE_GEOIP_FILE: {path} is no database of places: {error}") from None
    return GeoFile(reader.get)


def _place(record: Any) -> Location | None:
    """None for an address that is not there, and for a record without coordinates."""
    try:
        found = msgspec.convert(record, _Record)
    except msgspec.ValidationError:
        return None
    location = {
        "country": found.country.iso_code if found.country else None,
        "level1": found.subdivisions[-1].iso_code if found.subdivisions else None,
        "locality": found.city.names.get(_LANGUAGE) if found.city else None,
    }
    geo = f"{round(found.location.latitude, 4)},{round(found.location.longitude, 4)}"
    return Location(geo, {name: text for name, text in location.items() if text})
