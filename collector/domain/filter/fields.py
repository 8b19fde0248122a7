"""The fields of a filter: where the values of each are stored, and how they are compared.

A name that is not in the table refers to the event's `data`, or matches nothing (contract 5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from collector.domain.event.session_key import SESSION_REFERENCE


class Kind(Enum):
    """How the values of a field are compared with a filter's value."""

    ID = auto()
    """An id, written as 32 hex characters."""
    EXACT = auto()
    """The whole text, case-sensitive."""
    WHOLE = auto()
    """The whole text, case-insensitive."""
    WORDS = auto()
    """Consecutive words of the text, case-insensitive."""
    ADDRESS = auto()
    """Like `WORDS`; an IPv4 address and its IPv4-mapped spellings match each other."""
    IDENTITY = auto()
    """Like `WORDS`, the last one as a prefix; an e-mail address also matches its local part alone."""
    VERSION = auto()
    """A version by its leading parts: `1.2` matches 1.2.3 too."""
    NUMBER = auto()
    DATE = auto()
    FLAG = auto()
    ANY = auto()
    """By the filter's value: as a number or date if it looks like one, and as case-insensitive text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the event's row; `is_list` if it holds several texts."""

    name: str
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class StackColumn:
    """A column of the event's stack; `is_list` if it holds several texts."""

    name: str
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class StackState:
    """Whether the event's stack is in one of these states."""

    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the event's `data`, by path."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedMember:
    """A member of `data`, by case-insensitive name."""

    name: str


@dataclass(frozen=True, slots=True)
class ErrorMember:
    """A member of the event's error and of its inner errors."""

    name: str


FieldSource = Column | StackColumn | StackState | Member | NamedMember | ErrorMember


@dataclass(frozen=True, slots=True)
class Field:
    """Where the values are and how they are compared; `separators` are the ASCII characters between words."""

    kind: Kind
    sources: tuple[FieldSource, ...]
    separators: str = ""

    @property
    def is_of_stack(self) -> bool:
        """Whether the field belongs to the stack, which all of its events share."""
        return isinstance(self.sources[0], StackColumn | StackState)


ANY_SEPARATOR: Final = "".join(
    character for character in map(chr, range(1, 128)) if not character.isalnum() and character != "_"
)
"""Every ASCII character that cannot be part of a word."""
SOURCE_SEPARATORS: Final = "\t\n\r ,./\\()[]{}?=&;:<>"
_PATH_SEPARATORS: Final = "/-."
_LIST_SEPARATORS: Final = "\t\n\r ,"
_TYPE_SEPARATORS: Final = "\t\n\r ,.()[]{}<>+:`"


def _member(kind: Kind, path: str, separators: str = "") -> Field:
    return Field(kind, (Member(tuple(path.split("/"))),), separators)


def _words(path: str) -> Field:
    return _member(Kind.WORDS, path, ANY_SEPARATOR)


def _target(name: str) -> Field:
    paths = (("@error", "data", "@target", name), ("@simple_error", "data", "@target", name))
    return Field(Kind.WORDS, tuple(Member(path) for path in paths), _TYPE_SEPARATORS)


_USER: Final = Field(
    Kind.IDENTITY,
    (Member(("@user", "identity")), Member(("@user_description", "email_address"))),
    ANY_SEPARATOR,
)
_ADDRESSES: Final = (("@submission_client", "ip_address"), ("@request", "client_ip_address"))

FIELDS: Final[Mapping[str, Field]] = {
    "id": Field(Kind.ID, (Column("id"),)),
    "organization": Field(Kind.ID, (Column("organization_id"),)),
    "project": Field(Kind.ID, (Column("project_id"),)),
    "stack": Field(Kind.ID, (Column("stack_id"),)),
    "reference": Field(Kind.EXACT, (Column("reference_id"),)),
    "type": Field(Kind.WHOLE, (Column("type"),)),
    "source": Field(Kind.WORDS, (Column("source"),), SOURCE_SEPARATORS),
    "message": Field(Kind.WORDS, (Column("message"),), ANY_SEPARATOR),
    "tag": Field(Kind.WHOLE, (Column("tags", is_list=True),)),
    "date": Field(Kind.DATE, (Column("date"),)),
    "created": Field(Kind.DATE, (Column("created_utc"),)),
    "value": Field(Kind.NUMBER, (Column("value"),)),
    "count": Field(Kind.NUMBER, (Column("count"),)),
    "geo": Field(Kind.WHOLE, (Column("geo"),)),
    "first": Field(Kind.FLAG, (Column("is_first_occurrence"),)),
    "level": _member(Kind.WHOLE, "@level"),
    "version": _member(Kind.VERSION, "@version"),
    "submission": _member(Kind.EXACT, "@submission_method"),
    "ip": Field(
        Kind.ADDRESS,
        tuple(Member(path) for path in (*_ADDRESSES, ("@environment", "ip_address"))),
        _LIST_SEPARATORS,
    ),
    "client.useragent": _member(Kind.WHOLE, "@submission_client/user_agent"),
    "client.version": _member(Kind.VERSION, "@submission_client/version"),
    "useragent": _words("@request/user_agent"),
    "path": _member(Kind.WORDS, "@request/path", _PATH_SEPARATORS),
    "browser": _words("@request/data/@browser"),
    "browser.version": _member(Kind.EXACT, "@request/data/@browser_version"),
    "browser.major": _member(Kind.EXACT, "@request/data/@browser_major_version"),
    "device": _words("@request/data/@device"),
    "bot": _member(Kind.FLAG, "@request/data/@is_bot"),
    "os": Field(
        Kind.WORDS,
        (Member(("@request", "data", "@os")), Member(("@environment", "o_s_name"))),
        ANY_SEPARATOR,
    ),
    "os.version": _member(Kind.EXACT, "@request/data/@os_version"),
    "os.major": _member(Kind.EXACT, "@request/data/@os_major_version"),
    "machine": _member(Kind.WHOLE, "@environment/machine_name"),
    "architecture": _member(Kind.EXACT, "@environment/architecture"),
    "cmd": _member(Kind.EXACT, "@environment/command_line"),
    "country": _member(Kind.WHOLE, "@location/country"),
    "level1": _member(Kind.WHOLE, "@location/level1"),
    "level2": _member(Kind.WHOLE, "@location/level2"),
    "locality": _member(Kind.WHOLE, "@location/locality"),
    "user": _USER,
    "user.name": _member(Kind.WHOLE, "@user/name"),
    "user.email": _USER,
    "user.description": _words("@user_description/description"),
    # The session reference has one spelling; the names of other references are case-insensitive.
    "ref.session": _member(Kind.EXACT, SESSION_REFERENCE),
    "error.code": Field(Kind.EXACT, (ErrorMember("code"),)),
    "error.message": Field(Kind.WORDS, (ErrorMember("message"),), ANY_SEPARATOR),
    "error.type": Field(Kind.WORDS, (ErrorMember("type"),), _TYPE_SEPARATORS),
    "error.targettype": _target("ExceptionType"),
    "error.targetmethod": _target("Method"),
    "status": Field(Kind.WHOLE, (StackColumn("status"),)),
    "is_fixed": Field(Kind.FLAG, (StackState(("fixed",)),)),
    "is_regressed": Field(Kind.FLAG, (StackState(("regressed",)),)),
    "is_hidden": Field(Kind.FLAG, (StackState(("fixed", "snoozed", "ignored", "discarded")),)),
    "first_occurrence": Field(Kind.DATE, (StackColumn("first_occurrence"),)),
    "last_occurrence": Field(Kind.DATE, (StackColumn("last_occurrence"),)),
    "title": Field(Kind.WORDS, (StackColumn("title"),), ANY_SEPARATOR),
    "description": Field(Kind.WORDS, (StackColumn("description"),), ANY_SEPARATOR),
    "references": Field(Kind.WHOLE, (StackColumn("references", is_list=True),)),
    "date_fixed": Field(Kind.DATE, (StackColumn("date_fixed"),)),
    "fixed_in_version": Field(Kind.VERSION, (StackColumn("fixed_in_version"),)),
    "occurrences_are_critical": Field(Kind.FLAG, (StackColumn("occurrences_are_critical"),)),
    "total_occurrences": Field(Kind.NUMBER, (StackColumn("total_occurrences"),)),
    "signature_hash": Field(Kind.EXACT, (StackColumn("signature_hash"),)),
    "snooze_until_utc": Field(Kind.DATE, (StackColumn("snooze_until_utc"),)),
}
"""The fields by their canonical (shortest) names."""

ALIASES: Final[Mapping[str, str]] = {
    "organization_id": "organization",
    "project_id": "project",
    "stack_id": "stack",
    "reference_id": "reference",
    "tags": "tag",
    "created_utc": "created",
    "is_first_occurrence": "first",
    "fixed": "is_fixed",
    "regressed": "is_regressed",
    "hidden": "is_hidden",
    "last": "last_occurrence",
    "links": "references",
    "fixedon": "date_fixed",
    "version_fixed": "fixed_in_version",
    "critical": "occurrences_are_critical",
    "occurrences": "total_occurrences",
    "signature": "signature_hash",
    "data.@level": "level",
    "data.@version": "version",
    "data.@submission_method": "submission",
    "data.@user.identity": "user",
    "data.@user.name": "user.name",
    "data.@user_description.email_address": "user.email",
    "data.@user_description.description": "user.description",
}

DEFAULT_FIELDS: Final = tuple(
    FIELDS[name]
    for name in (
        "id",
        "reference",
        "source",
        "message",
        "tag",
        "path",
        "error.code",
        "error.type",
        "error.targettype",
        "error.targetmethod",
        "user.description",
        "user",
        "user.name",
    )
)
"""The fields that bare words are searched in."""

_DATA: Final = "data."
_REFERENCE: Final = "ref."


def resolve_field(name: str) -> Field | None:
    """The field with this case-insensitive name; None if no event can have it."""
    folded = name.lower()
    known = FIELDS.get(ALIASES.get(folded, folded))
    if known is not None:
        return known
    if folded.startswith(_REFERENCE) and len(name) > len(_REFERENCE):
        return Field(Kind.EXACT, (NamedMember(f"@ref:{name[len(_REFERENCE) :]}"),))
    if folded.startswith(_DATA) and len(name) > len(_DATA):
        # A sender's own member: a name is case-insensitive, a path to a nested member is exact.
        path = tuple(name[len(_DATA) :].split("."))
        return Field(Kind.ANY, (NamedMember(path[0]) if len(path) == 1 else Member(path),))
    return None
