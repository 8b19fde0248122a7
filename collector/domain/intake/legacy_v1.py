"""Upgrades error documents of API version 1 to events of version 2 (contract 3.4).

In version 1 the error was the whole document. Its parts move into `@error`, `@request` and `@environment`,
extended data becomes `data`, and extra exception properties (`__ExceptionInfo`) become `@ext`. Spelling is
left unchanged here: building the event normalizes it.
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
"""Only version 1 documents have these names; without one it is a version 2 event sent to the old path."""
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
    """The version 2 event for a posted document, which is modified in place."""
    client = document.get("ExceptionlessClientInfo")
    text = as_text(client.get("Version")) if isinstance(client, dict) else None
    found = _VERSION.match(text or "")
    version = tuple(map(int, found[0].split("."))) if found else (0, 0)
    if version > _FIRST_OF_VERSION_2 or not _MARKS & document.keys():
        return document
    # Repair what old clients wrote wrongly, upgrade, and then drop what is empty.
    if version <= _LAST_WITH_NAMELESS:
        _drop_nameless(document)
    if version <= _LAST_WITH_OLD_NAMES:
        _rename_extras(document)
    for members in _nested_objects(document):
        if "ExtendedData" in members and "Data" not in members:
            members["Data"] = members.pop("ExtendedData")
    event = _upgrade_error(document)
    for members in _nested_objects(event):
        for name in _EMPTY_ONES:
            if name in members and members[name] in _NOTHING:
                del members[name]
    return event


def _upgrade_error(document: dict[str, Any]) -> dict[str, Any]:
    is_not_found = as_text(document.get("Code")) == "404"
    for name in _DROPPED:
        document.pop(name, None)
    _move(document, "Id", document, "ReferenceId")
    _move(document, "OccurrenceDate", document, "Date")
    _move(document, "RequestInfo", document, "@request")
    _move(document, "EnvironmentInfo", document, "@environment")
    _move(document, "Tags", document, "Tags")  # drops them if they are empty
    data = document.get("Data")
    data = data if isinstance(data, dict) else {}
    _move(data, "TraceLog", data, "@trace")
    # A 404 was posted as an error; version 2 keeps its request and drops what describes the error.
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
    # The members with the user and the user's description become objects of their own.
    description = {
        name: text
        for name, old in (("email_address", "UserEmail"), ("description", "UserDescription"))
        if (text := as_text(document.pop(old, None)))
    }
    if description:
        document["@user_description"] = description
    if identity := as_text(document.pop("UserName", None)):
        document["@user"] = {"identity": identity}
    return document


def _error(document: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    error: dict[str, Any] = {}
    if document.get("Message") not in _NOTHING:
        error["Message"] = document["Message"]
    for name in _OF_THE_ERROR:
        _move(document, name, error, name)
    if _EXTRA in data:
        error["Data"] = {_EXTRA: data.pop(_EXTRA)}
    # Move the extra properties, often JSON in a string, to `@ext`; anything but an object stays.
    for each in _chain(error):
        of_error = each.get("Data")
        if not isinstance(of_error, dict) or _EXTRA not in of_error:
            continue
        extra = of_error[_EXTRA]
        members = parse_object_text(extra) if isinstance(extra, str) else extra
        if isinstance(members, dict):
            del of_error[_EXTRA]
            kept = {name: value for name, value in members.items() if value not in _NOTHING}
            if kept:
                of_error["@ext"] = {
                    f"_{name}" if name in of_error else name: value for name, value in kept.items()
                }
    return error


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


def _move(source: dict[str, Any], old: str, target: dict[str, Any], name: str) -> None:
    """Move a member; drop it if it is empty."""
    value = source.pop(old, None)
    if value not in _NOTHING:
        target[name] = value


def _chain(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The error and its inner errors, outermost first."""
    current: Any = error
    while isinstance(current, dict):
        yield current
        current = current.get("Inner")


def _nested_objects(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object in the document, at any depth; iterative, because documents can nest deeply."""
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
