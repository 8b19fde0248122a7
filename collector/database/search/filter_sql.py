"""Filters as SQL: a tree becomes a condition on `events AS e`, `stacks AS s` or another table, and arguments.

No text of a filter gets into a statement: names of columns and functions are constants here, everything else
is an argument. A missing value compares as unknown (null), which does not match.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from collector.database.search.text_patterns import holding_pattern
from collector.database.search.value_sql import folded_argument, value_condition
from collector.database.text import lowered
from collector.domain.dates.datemath import LocalClock
from collector.domain.errors import BadRequest
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.filter.fields import (
    DEFAULT_FIELDS,
    FIELDS,
    Column,
    ErrorMember,
    Field,
    FieldSource,
    Kind,
    Member,
    NamedMember,
    StackColumn,
    StackState,
    resolve_field,
)
from collector.domain.filter.predicates import IsFlag, IsText, NeverMatches, Predicate, predicate_for
from collector.domain.filter.tree import And, Everything, Exists, Filter, Match, Not, Or, Range, Term

MAXIMUM_EVENT_TERMS: Final = 20
"""The most terms about events in a filter of stacks; each one searches all events."""
CAUSES: Final = 8
"""How many errors of a chain of causes are searched."""

_NATIVE: Final = frozenset({Kind.ID, Kind.NUMBER, Kind.DATE, Kind.FLAG})
"""Kinds whose columns have a type other than text; in `data` every value is text."""
_STACK_DEFAULT_FIELDS: Final = tuple(
    FIELDS[name] for name in ("stack", "title", "description", "tag", "references")
)
_STACK_COLUMNS: Final = {
    "stack_id": "s.id",
    "project_id": "s.project_id",
    "organization_id": "s.organization_id",
    "type": "s.type",
    "tags": "s.tags",
}
"""Fields of events that a row of `stacks` has as well."""

_UNPACKED: Final = """EXISTS (
    SELECT FROM (SELECT e.data #> '{{}}' AS data OFFSET 0) AS e WHERE {condition})"""
"""Decompresses `e.data`, which large events store compressed, once for all of the condition."""
# Not jsonb_each: it keeps what it makes of each row until the statement ends, some 100 MB a second.
_EACH_MEMBER: Final = f"""EXISTS (
    SELECT FROM (
        SELECT e.data, jsonb_object_keys(CASE jsonb_typeof(e.data) WHEN 'object' THEN e.data END) AS key
        FROM (SELECT e.data #> '{{{{}}}}' AS data OFFSET 0) AS e OFFSET 0
    ) AS m
    WHERE {lowered("m.key")} = {lowered("{name}::text")}
        AND jsonb_typeof(m.data -> m.key) IN ('string', 'number', 'boolean') AND {{condition}})"""  # noqa: S608 - constants only
_EACH_ERROR: Final = """(e.data ?| '{{@error,@simple_error}}' AND EXISTS (
    SELECT FROM (
        SELECT e.data -> kind AS error FROM (VALUES ('@error'), ('@simple_error')) AS k (kind) OFFSET 0
    ) AS o, unnest(ARRAY[{values}]) AS c (v)
    WHERE o.error IS NOT NULL AND {condition}))"""
_OF_SUCH_A_STACK: Final = """e.stack_id IN (
    SELECT s.id FROM stacks AS s WHERE s.project_id = ANY({projects}) AND {condition})"""
_WITH_SUCH_AN_EVENT: Final = """(s.id IN (
    SELECT e.stack_id FROM events AS e WHERE e.project_id = ANY({projects}) AND {condition})) IS TRUE"""
"""`IS TRUE` keeps the planner from turning the subqueries into joins.

On 31 partitions 20 of them take 216 MB of the server's memory as joins, 29 MB as subqueries.
"""


class Arguments:
    """The arguments of one statement, in the order of their numbers."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        """Append the value and return its placeholder: `$3`."""
        self.values.append(value)
        return f"${len(self.values)}"


class Conditions:
    """Compiles filters into conditions on one table, for one statement."""

    def __init__(self, arguments: Arguments, clock: LocalClock) -> None:
        self._arguments = arguments
        self._clock = clock

    @property
    @abstractmethod
    def _default_fields(self) -> Iterable[Field]:
        """The fields that words without a field name are searched in."""

    @abstractmethod
    def _field(self, name: str) -> Field | None:
        """The field that a filter names; None if no row of the table can have it."""

    @abstractmethod
    def _column(self, source: Column | StackColumn) -> str:
        """The column as the statement names it."""

    def _related(self, field: Field, condition: Callable[[FieldSource], str]) -> str:
        """The condition that at least one source of the field matches."""
        return f"({' OR '.join(condition(source) for source in field.sources)})"

    def of(self, tree: Filter) -> str:
        """The condition for a tree. Raises BadRequest for values that do not fit their field."""
        match tree:
            case Everything():
                return "true"
            case And(children):
                return f"({' AND '.join(self.of(child) for child in children)})"
            case Or(children):
                return f"({' OR '.join(self.of(child) for child in children)})"
            case Not(child):
                return f"({self.of(child)} IS NOT TRUE)"
            case Exists(name):
                field = self._field(name)
                exists = partial(self._each, condition=lambda value: f"{value} IS NOT NULL")
                return "false" if field is None else self._related(field, exists)
            case Match(name, value):
                fields = self._default_fields if name is None else (self._field(name),)
                return self._match_one(fields, value)

    def _match_one(self, fields: Iterable[Field | None], value: Term | Range) -> str:
        """The condition that at least one of the fields matches."""
        return f"({' OR '.join(self._match(field, value) for field in fields)})"

    def _match(self, field: Field | None, value: Term | Range) -> str:
        if field is None:
            return "false"
        predicate = predicate_for(field, value, self._clock)
        if isinstance(predicate, NeverMatches):
            return "false"
        return self._related(field, lambda source: self._holds(field, source, predicate))

    def _holds(self, field: Field, source: FieldSource, predicate: Predicate) -> str:
        if isinstance(source, StackState):
            is_one = f"s.status = ANY({self._arguments.add(list(source.states))}::text[])"
            return is_one if predicate == IsFlag(flag=True) else f"NOT {is_one}"
        is_native = isinstance(source, Column | StackColumn) and field.kind in _NATIVE
        condition = self._each(
            source, lambda value: value_condition(value, predicate, self._arguments.add, is_native=is_native)
        )
        if not isinstance(predicate, IsText) or not isinstance(source, Column | StackColumn):
            return condition
        # The partial index on reference ids is used only if its literal condition is repeated.
        if (
            isinstance(source, Column)
            and source.name == "reference_id"
            and predicate.pieces != (INVALID_REFERENCE_ID,)
            and all(isinstance(piece, str) for piece in predicate.pieces)
        ):
            condition = f"({condition} AND e.reference_id <> '{INVALID_REFERENCE_ID}')"
        # So is that on sessions, and its condition is that of the filter.
        if source == Column("type") and predicate.pieces == ("session",):
            condition = f"({condition} AND {lowered(self._column(source))} = 'session')"
        # A cheap check on lists rules out most of them in a fifth of the time.
        if source.is_list and predicate.is_folded:
            texts = lowered(f"array_to_string({self._column(source)}, ' ')")
            pattern = folded_argument(holding_pattern([predicate.pieces]), self._arguments.add)
            condition = f"({texts} LIKE {pattern} AND {condition})"
        return condition

    def _each(self, source: FieldSource, condition: Callable[[str], str]) -> str:
        """The condition on the value of a source, or on any of its values."""
        match source:
            case Column(name, is_list) | StackColumn(name, is_list):
                value = self._column(source)
                if not is_list:
                    return condition(value)
                return f"EXISTS (SELECT FROM unnest({value}) AS v (v) WHERE {condition('v.v')})"
            case StackState():
                return "s.status IS NOT NULL"
            case Member(path):
                return condition(f"(e.data #>> {self._arguments.add(list(path))}::text[])")
            case NamedMember(name):
                return _EACH_MEMBER.format(
                    name=self._arguments.add(name), condition=condition("(m.data ->> m.key)")
                )
            case ErrorMember(name):
                # Errors and their causes, extracted from `data` once, as extraction dominates the cost.
                member = self._arguments.add(name)
                values = ", ".join(
                    f"(o.error #>> (array_fill('inner'::text, ARRAY[{depth}]) || {member}::text))"
                    for depth in range(CAUSES)
                )
                return _EACH_ERROR.format(values=values, condition=condition("c.v"))


class _ConditionsOfProjects(Conditions):
    """Conditions on events or stacks that may refer to the other; `projects` is the argument of their ids."""

    def __init__(self, arguments: Arguments, projects: str, clock: LocalClock) -> None:
        super().__init__(arguments, clock)
        self._projects = projects

    def _field(self, name: str) -> Field | None:
        return resolve_field(name)

    def _column(self, source: Column | StackColumn) -> str:
        return f's."{source.name}"' if isinstance(source, StackColumn) else f"e.{source.name}"


class EventConditions(_ConditionsOfProjects):
    """Conditions on `events AS e`.

    With `walks`, the events of some stacks are not looked up by these, but filtered: they are frequent.
    """

    def __init__(
        self, arguments: Arguments, projects: str, clock: LocalClock, *, walks: bool = False
    ) -> None:
        super().__init__(arguments, projects, clock)
        self._walks = walks

    @property
    def _default_fields(self) -> Iterable[Field]:
        return DEFAULT_FIELDS

    def _match_one(self, fields: Iterable[Field | None], value: Term | Range) -> str:
        """Checks fields in `data` last: it is decompressed once, and only if no column matches."""
        members = (Member, NamedMember, ErrorMember)
        in_data = [field for field in fields if field is not None and isinstance(field.sources[0], members)]
        # Decompressing once pays off if `data` is read more than once, as it is for any member of an error.
        sources = [source for field in in_data for source in field.sources]
        if len(sources) <= 1 and not any(isinstance(source, ErrorMember) for source in sources):
            return super()._match_one(fields, value)
        unpacked = _UNPACKED.format(condition=super()._match_one(in_data, value))
        others = [field for field in fields if field not in in_data]
        return f"({super()._match_one(others, value)} OR {unpacked})" if others else unpacked

    def _related(self, field: Field, condition: Callable[[FieldSource], str]) -> str:
        found = super()._related(field, condition)
        if not field.is_of_stack:
            return found
        of_such_a_stack = _OF_SUCH_A_STACK.format(projects=self._projects, condition=found)
        return f"({of_such_a_stack}) IS TRUE" if self._walks else of_such_a_stack


class StackConditions(_ConditionsOfProjects):
    """Conditions on `stacks AS s`; a condition on events holds for stacks that have a matching event."""

    _of_events = 0

    @property
    def _default_fields(self) -> Iterable[Field]:
        return _STACK_DEFAULT_FIELDS

    def _related(self, field: Field, condition: Callable[[FieldSource], str]) -> str:
        found = super()._related(field, condition)
        if field.is_of_stack or _is_shared(field.sources[0]):
            return found
        self._of_events += 1
        if self._of_events > MAXIMUM_EVENT_TERMS:
            raise BadRequest(
                f"The filter has too many terms about the stacks' events: the limit is {MAXIMUM_EVENT_TERMS}."
            )
        return _WITH_SUCH_AN_EVENT.format(projects=self._projects, condition=found)

    def _column(self, source: Column | StackColumn) -> str:
        return _STACK_COLUMNS[source.name] if _is_shared(source) else super()._column(source)


def _is_shared(source: FieldSource) -> bool:
    return isinstance(source, Column) and source.name in _STACK_COLUMNS
