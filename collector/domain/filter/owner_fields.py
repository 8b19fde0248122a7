"""The fields in filters of organizations and projects; those of events are in `fields`.

The official server has further fields for plans and billing, which do not exist here: they match nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from collector.domain.filter.fields import ANY_SEPARATOR, Column, Field, Kind

_COMMON: Final[Mapping[str, Field]] = {
    "id": Field(Kind.ID, (Column("id"),)),
    "name": Field(Kind.WORDS, (Column("name"),), ANY_SEPARATOR),
    "created": Field(Kind.DATE, (Column("created_utc"),)),
    "updated": Field(Kind.DATE, (Column("updated_utc"),)),
}
_ORGANIZATION: Final[Mapping[str, Field]] = {
    **_COMMON,
    "organization": _COMMON["id"],
    "is_suspended": Field(Kind.FLAG, (Column("is_suspended"),)),
}
_PROJECT: Final[Mapping[str, Field]] = {
    **_COMMON,
    "project": _COMMON["id"],
    "organization": Field(Kind.ID, (Column("organization_id"),)),
}
_ALIASES: Final = {
    "organization": "organization_id",
    "project": "project_id",
    "created": "created_utc",
    "updated": "updated_utc",
}


def _with_aliases(fields: Mapping[str, Field]) -> Mapping[str, Field]:
    long_names = {_ALIASES[name]: field for name, field in fields.items() if name in _ALIASES}
    return MappingProxyType({**fields, **long_names})


ORGANIZATION_FIELDS: Final = _with_aliases(_ORGANIZATION)
PROJECT_FIELDS: Final = _with_aliases(_PROJECT)
DEFAULT_OWNER_FIELDS: Final = (_COMMON["name"], _COMMON["id"])
"""The fields that bare words are searched in."""
