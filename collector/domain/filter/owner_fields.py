"""The fields that a filter can name of organizations and projects, as data: see `filter_fields` for events.

The official server has a few more, of plans and bills, which nothing here has: they match nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from collector.domain.filter.fields import ANY_SEPARATOR, Column, Field, Kind

_BOTH: Final[Mapping[str, Field]] = {
    "id": Field(Kind.ID, (Column("id"),)),
    "name": Field(Kind.WORDS, (Column("name"),), ANY_SEPARATOR),
    "created": Field(Kind.DATE, (Column("created_utc"),)),
    "updated": Field(Kind.DATE, (Column("updated_utc"),)),
}
_OF_ORGANIZATIONS: Final[Mapping[str, Field]] = {
    **_BOTH,
    "organization": _BOTH["id"],
    "is_suspended": Field(Kind.FLAG, (Column("is_suspended"),)),
}
_OF_PROJECTS: Final[Mapping[str, Field]] = {
    **_BOTH,
    "project": _BOTH["id"],
    "organization": Field(Kind.ID, (Column("organization_id"),)),
}
_ALIASES: Final = {
    "organization": "organization_id",
    "project": "project_id",
    "created": "created_utc",
    "updated": "updated_utc",
}


def _with_aliases(fields: Mapping[str, Field]) -> Mapping[str, Field]:
    longer = {_ALIASES[name]: field for name, field in fields.items() if name in _ALIASES}
    return MappingProxyType({**fields, **longer})


ORGANIZATION_FIELDS: Final = _with_aliases(_OF_ORGANIZATIONS)
PROJECT_FIELDS: Final = _with_aliases(_OF_PROJECTS)
DEFAULT_OWNER_FIELDS: Final = (_BOTH["name"], _BOTH["id"])
"""Where bare words are looked for."""
