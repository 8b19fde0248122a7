"""Filters of organizations and projects as SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from collector.database.search.filter_sql import Arguments, Conditions
from collector.domain.dates.datemath import LocalClock
from collector.domain.filter.fields import Column, Field, StackColumn
from collector.domain.filter.owner_fields import DEFAULT_OWNER_FIELDS, ORGANIZATION_FIELDS, PROJECT_FIELDS
from collector.domain.filter.tree import Filter


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A filter, and the clock that its dates refer to."""

    filter: Filter
    clock: LocalClock


class _OwnerConditions(Conditions):
    _fields: ClassVar[Mapping[str, Field]]
    _table: ClassVar[str]

    @property
    def _default_fields(self) -> Iterable[Field]:
        return DEFAULT_OWNER_FIELDS

    def _field(self, name: str) -> Field | None:
        return self._fields.get(name.lower())

    def _column(self, source: Column | StackColumn) -> str:
        return f"{self._table}.{source.name}"


class OrganizationConditions(_OwnerConditions):
    """Conditions on `organizations AS o`."""

    _fields = ORGANIZATION_FIELDS
    _table = "o"


class ProjectConditions(_OwnerConditions):
    """Conditions on `projects AS p`."""

    _fields = PROJECT_FIELDS
    _table = "p"


def narrowed(kind: type[_OwnerConditions], narrowing: Narrowing | None, arguments: Arguments) -> str:
    """The condition for a narrowing; `true` for None. Raises BadRequest like `Conditions.of`."""
    return "true" if narrowing is None else kind(arguments, narrowing.clock).of(narrowing.filter)
