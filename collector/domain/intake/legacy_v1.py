"""Errors as clients of version 1 posted them, upgraded to the events of version 2 (contract 3.4).

An error was the whole document then: its parts move into `@error`, `@request` and `@environment`, extended
data becomes data, and what the clients could not place otherwise (`__ExceptionInfo`) becomes `@ext`. Every
name is left as it was written: the event's own rules spell it anew.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from collector.domain.event.data import parse_object_text
from collector.domain.event.members import as_text

_MARKS: Final = frozenset(
    {
        "Code", "EnvironmentInfo", "ExceptionlessClientInfo", "ExtendedData", "Inner", "Message", "Modules",
        "OccurrenceDate", "RequestInfo", "StackTrace", "TargetMethod", "Type",
    }
)  # fmt: skip
"""Names that only such a document has: whoever writes others posts an event of version 2 to the old path."""
_OF_THE_ERROR: Final = ("Code", "Type", "Inner", "StackTrace", "TargetMethod", "Modules")
_DROPPED: Final = ("OrganizationId", "ProjectId", "ErrorStackId", "ExceptionlessClientInfo")
_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})
_EMPTY_ONES: Final = ("Data", "GenericArguments", "Parameters")
_EXTRA: Final = "__ExceptionInfo"
_OLD_NAMES: Final = {"ExtraExceptionProperties": _EXTRA, "ExceptionInfo": _EXTRA, "TraceInfo": "TraceLog"}
_VERSION: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")
_FIRST_OF_VERSION_2: Final = (2, 0)
_LAST_WITH_NAMELESS: Final = (1, 0, 0, 844)
_LAST_WITH_OLD_NAMES: Final = (1, 0, 0, 850)


def upgrade(document: dict[str, Any]) -> dict[str, Any]:
    """The event of version 2 that a posted document is; the document itself is used up."""
    version = _version(document)
    if version > _FIRST_OF_VERSION_2 or not _MARKS & document.keys():
        return document
    if version <= _LAST_WITH_NAMELESS:
        _drop_nameless(document)
    if version <= _LAST_WITH_OLD_NAMES:
        _rename_extras(document)
    _rename_extended_data(document)
    event = _event(document)
    _drop_empty(event)
    return event


def _version(document: Mapping[str, Any]) -> tuple[int, ...]:
    client = document.get("ExceptionlessClientInfo")
    text = as_text(client.get("Version")) if isinstance(client, dict) else None
    found = _VERSION.match(text or "")
    return tuple(map(int, found[0].split("."))) if found else (0, 0)


def _event(document: dict[str, Any]) -> dict[str, Any]:
    is_not_found = as_text(document.get("Code")) == "404"
    for name in _DROPPED:
        document.pop(name, None)
    _move(document, "Id", document, "ReferenceId")
    _move(document, "OccurrenceDate", document, "Date")
    _move(document, "RequestInfo", document, "@request")
    _move(document, "EnvironmentInfo", document, "@environment")
    _move(document, "Tags", document, "Tags")
    data = document.get("Data")
    data = data if isinstance(data, dict) else {}
    _move(data, "TraceLog", data, "@trace")
    if is_not_found:
        document.pop("@environment", None)
        data.pop("@trace", None)
    if is_not_found and "@request" in document:
        for name in (*_OF_THE_ERROR, "Message"):
            document.pop(name, None)
        data.pop(_EXTRA, None)
    else:
        document["@error"] = _error(document, data)
    document["Type"] = "404" if is_not_found else "error"
    _move_user(document)
    return document


def _error(document: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    error: dict[str, Any] = {}
    if document.get("Message") not in _NOTHING:
        error["Message"] = document["Message"]
    for name in _OF_THE_ERROR:
        _move(document, name, error, name)
    if _EXTRA in data:
        error["Data"] = {_EXTRA: data.pop(_EXTRA)}
    for each in _chain(error):
        _unpack_extra(each)
    return error


def _unpack_extra(error: Mapping[str, Any]) -> None:
    """What was JSON within JSON; what is none stays as it is."""
    data = error.get("Data")
    if not isinstance(data, dict) or _EXTRA not in data:
        return
    extra = data[_EXTRA]
    members = parse_object_text(extra) if isinstance(extra, str) else extra
    if isinstance(members, dict):
        del data[_EXTRA]
        kept = {name: value for name, value in members.items() if value not in _NOTHING}
        if kept:
            data["@ext"] = {f"_{name}" if name in data else name: value for name, value in kept.items()}


def _move_user(document: dict[str, Any]) -> None:
    description = {
        name: text
        for name, old in (("email_address", "UserEmail"), ("description", "UserDescription"))
        if (text := as_text(document.pop(old, None)))
    }
    if description:
        document["@user_description"] = description
    if identity := as_text(document.pop("UserName", None)):
        document["@user"] = {"identity": identity}


def _drop_nameless(document: Mapping[str, Any]) -> None:
    """Clients up to 1.0.0.844 wrote a member without a name into what they took from a request."""
    request = document.get("RequestInfo")
    if isinstance(request, dict):
        for name in ("Cookies", "Form", "QueryString"):
            if isinstance(request.get(name), dict):
                request[name].pop("", None)


def _rename_extras(document: dict[str, Any]) -> None:
    for error in _chain(document):
        data = error.get("ExtendedData")
        if isinstance(data, dict):
            for old, name in _OLD_NAMES.items():
                if old in data and name not in data:
                    data[name] = data.pop(old)


def _rename_extended_data(document: dict[str, Any]) -> None:
    for members in _objects_in(document):
        if "ExtendedData" in members and "Data" not in members:
            members["Data"] = members.pop("ExtendedData")


def _drop_empty(document: dict[str, Any]) -> None:
    for members in _objects_in(document):
        for name in _EMPTY_ONES:
            if name in members and members[name] in _NOTHING:
                del members[name]


def _move(source: dict[str, Any], old: str, target: dict[str, Any], name: str) -> None:
    """Move a member that says something; drop one that does not."""
    value = source.pop(old, None)
    if value not in _NOTHING:
        target[name] = value


def _chain(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The error and what it was caused by, the outermost first."""
    current: Any = error
    while isinstance(current, dict):
        yield current
        current = current.get("Inner")


def _objects_in(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object of the document, however deep."""
    found = []
    left: list[Any] = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            found.append(value)
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return found
