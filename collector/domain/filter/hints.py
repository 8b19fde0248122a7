"""Hints about filters that are valid but probably match nothing, such as a misspelled field.

The official server accepts such filters silently. The senders' own fields (`data.` and `ref.`) count as
known, whatever their names.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Final

from collector.domain.event.stack import StackStatus
from collector.domain.filter.fields import ALIASES, FIELDS, resolve_field
from collector.domain.filter.tree import Everything, Filter, Match, Term, all_conditions

MAXIMUM_HINTS: Final = 5
"""Searching for the nearest name takes up to a millisecond each, on the event loop."""
_LONGEST_NAME: Final = 50
_SIMILARITY: Final = 0.7
"""The minimum similarity ratio of two names."""

_KNOWN: Final = (*FIELDS, *(name for name in ALIASES if not name.startswith("data.")))
_ELSEWHERE: Final = {
    "msg": "message", "text": "message", "body": "message",
    "severity": "level", "loglevel": "level", "log_level": "level", "log.level": "level",
    "timestamp": "date", "time": "date", "datetime": "date", "@timestamp": "date", "created_at": "created",
    "exception": "error.type", "exception_type": "error.type", "error": "error.type", "code": "error.code",
    "stack_trace": "error.type", "host": "machine", "hostname": "machine", "server": "machine",
    "machine_name": "machine", "url": "path", "uri": "path", "ref_id": "reference", "ref": "reference",
    "logger": "source", "identity": "user", "user_id": "user", "userid": "user", "username": "user.name",
    "user_name": "user.name", "email": "user.email", "state": "status", "release": "version", "label": "tag",
    "labels": "tag", "ip_address": "ip", "user_agent": "useragent", "is_bot": "bot", "agent": "useragent",
}  # fmt: skip
"""The names of our fields in other products, or within `data`."""

_OPERATORS: Final = frozenset({"and", "or", "not"})
_COMPARED: Final = re.compile(r"([\w@][\w.@-]*)\s*(?:==?|!=)(.+)")


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A name in a filter that is not a field, as written, and the field that may be meant."""

    name: str
    nearest: str | None


def unknown_field(name: str) -> str:
    """A sentence about a name that is not a field of events, for where `data` is not allowed either."""
    return _sentence(UnknownField(name, _nearest(name, _KNOWN)), has_data=False)


def find_unknown_fields(tree: Filter, fields: Collection[str] | None = None) -> tuple[UnknownField, ...]:
    """The first unknown names in a filter, each once; by default those that events and stacks lack."""
    known = _KNOWN if fields is None else fields
    names = dict.fromkeys(
        part.field
        for part in all_conditions(tree)
        if not isinstance(part, Everything) and part.field is not None
    )
    unknown = islice((name for name in names if not _is_known(name, fields)), MAXIMUM_HINTS)
    return tuple(UnknownField(name, _nearest(name, known)) for name in unknown)


def filter_hints(tree: Filter, fields: Collection[str] | None = None) -> tuple[str, ...]:
    """Sentences about parts of the filter that probably match nothing, at most `MAXIMUM_HINTS`."""
    sentences = [_sentence(unknown, has_data=fields is None) for unknown in find_unknown_fields(tree, fields)]
    for part in all_conditions(tree):
        if isinstance(part, Match) and isinstance(part.value, Term) and not part.value.is_quoted:
            sentences += _term_hints(part.field, part.value.text, fields)
    return tuple(dict.fromkeys(sentences))[:MAXIMUM_HINTS]


def _is_known(name: str, fields: Collection[str] | None) -> bool:
    return resolve_field(name) is not None if fields is None else name.lower() in fields


def _term_hints(field: str | None, text: str, fields: Collection[str] | None) -> Iterator[str]:
    # `a or b`
    if field is None and text in _OPERATORS:
        yield f"`{text}` is searched for as a word; operators are in upper case: `{text.upper()}`."
    # `type=error`
    found = _COMPARED.fullmatch(text) if field is None else None
    if found and _is_known(found[1], fields):
        yield f"`{_short(text)}` is searched for as words; to compare a field, write `{_short(found[1])}:`."
    # `status:closed`
    is_status = (
        fields is None and field is not None and field.lower() == "status" and not {"*", "?"} & set(text)
    )
    if is_status and text.lower() not in set(StackStatus):
        yield f"`{_short(text)}` is not a status; the statuses are {', '.join(StackStatus)}."


def _sentence(unknown: UnknownField, *, has_data: bool) -> str:
    suggestion = f"; did you mean `{unknown.nearest}`?" if unknown.nearest else "."
    own = f" Your own data is named `data.{_short(unknown.name)}`." if has_data else ""
    return f"`{_short(unknown.name)}` is not a field{suggestion}{own}"


def _nearest(name: str, known: Collection[str]) -> str | None:
    folded = name.lower().removeprefix("@")[:_LONGEST_NAME]
    # A field without its `@`, a name from elsewhere, or else the most similar field.
    elsewhere = _ELSEWHERE.get(folded)
    if folded in known or elsewhere in known:
        return folded if folded in known else elsewhere
    return next(iter(get_close_matches(folded, known, n=1, cutoff=_SIMILARITY)), None)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."
