"""Looks up locations in the file that `HEADRACE_GEOIP_FILE` names: a city database in MaxMind's format."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import maxminddb
import msgspec

from collector.domain.event.geo import Location
from collector.process.lifecycle import StartError

_CACHED_ADDRESSES: Final = 4096
_LANGUAGE: Final = "en"


class _Named(msgspec.Struct):
    iso_code: str | None = None
    names: dict[str, str] = {}


class _Coordinates(msgspec.Struct):
    latitude: float
    longitude: float


class _Record(msgspec.Struct):
    location: _Coordinates
    country: _Named | None = None
    subdivisions: list[_Named] = []
    city: _Named | None = None


class GeoFile:
    """Finds locations in a file that stays open; a replaced file is read after the next start."""

    def __init__(self, get: Callable[[str], Any]) -> None:
        self._get = get
        self.find: Final = lru_cache(maxsize=_CACHED_ADDRESSES)(self._find)

    def _find(self, address: str) -> Location | None:
        """None for an unknown address, and for a record without coordinates."""
        try:
            found = msgspec.convert(self._get(address), _Record)
        # ValueError: an IPv6 address in an IPv4 file, or a record of another shape; the other: a corrupt one.
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None
        location = {
            "country": found.country.iso_code if found.country else None,
            "level1": found.subdivisions[-1].iso_code if found.subdivisions else None,
            "locality": found.city.names.get(_LANGUAGE) if found.city else None,
        }
        # Four digits are eleven metres, closer than any such database knows.
        geo = f"{round(found.location.latitude, 4)},{round(found.location.longitude, 4)}"
        return Location(geo, {name: text for name, text in location.items() if text})


def open_geo_file(path: str) -> GeoFile | None:
    """Open the file; None for an empty path. Raises StartError for a file that cannot be read."""
    if not path:
        return None
    try:
        reader = maxminddb.open_database(path)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise StartError(f"HEADRACE_GEOIP_FILE: {path} is not a location database: {error}") from None
    return GeoFile(reader.get)
