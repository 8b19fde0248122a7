"""Events in short (`mode=summary`): the template that displays an event, and its data (contract 4)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from collector.api.events.events import date_view
from collector.database.search.events import StoredEvent
from collector.database.search.stacks import StoredStack

_TEMPLATES: Final = {
    "error": "error",
    "log": "log",
    "usage": "feature",
    "404": "notfound",
    "session": "session",
}
_NOTHING: Final[Mapping[str, Any]] = {}
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Data = Mapping[str, Any]


def summary_of(event: StoredEvent, project_name: str) -> dict[str, Any]:
    """The event in short; null members are left out, except in `data`."""
    try:
        data: Data = _decode(event.data or b"{}")
    except msgspec.ValidationError:  # rows that something else inserted may contain any JSON
        data = _NOTHING
    # The type decides, except for errors: they are detailed or simple, and any event may contain one.
    kind = _TEMPLATES.get(event.type, "")
    if _object(data, "@error"):
        kind = "error"
    elif _object(data, "@simple_error"):
        kind = "simple"
    version = data.get("@version")
    return {
        "id": event.id.hex,
        "template_key": f"event-{kind}-summary" if kind else "event-summary",
        "data": _MEMBERS.get(kind, _other_members)(event, data),
        "date": date_view(event),
        "project_id": event.project_id.hex,
        "project_name": project_name,
        "tags": event.tags,
        "type": event.type,
    } | ({"version": version} if isinstance(version, str) else {})


def stack_template(stack: StoredStack) -> str:
    """The name of the template that displays a stack."""
    kind = _TEMPLATES.get(stack.type, "")
    if kind == "error" and "StackTrace" in stack.signature_info:
        kind = "simple"
    return f"stack-{kind}-summary" if kind else "stack-summary"


def stack_members(stack: StoredStack) -> dict[str, Any]:
    """The data that a stack's template needs."""
    info = stack.signature_info
    if stack.type == "error":
        return _type_members(info.get("ExceptionType")) | _method_members(info.get("Method"))
    return _present(Source=info.get("Source"), Type=info.get("Type"))


def _error_members(event: StoredEvent, data: Data) -> dict[str, Any]:
    error = _object(data, "@error")
    target = _object(_object(error, "data"), "@target")
    return (
        {"Message": event.message}
        | _user_members(data)
        | _type_members(target.get("ExceptionType") or error.get("type"))
        | _method_members(target.get("Method"))
        | _present(Path=_object(data, "@request").get("path"))
    )


def _simple_error_members(event: StoredEvent, data: Data) -> dict[str, Any]:
    error = _object(data, "@simple_error")
    return (
        {"Message": event.message}
        | _user_members(data)
        | _type_members(error.get("type"))
        | _present(Path=_object(data, "@request").get("path"))
    )


def _log_members(event: StoredEvent, data: Data) -> dict[str, Any]:
    source, short = event.source, None
    if source and "." in source and not any(character.isspace() for character in source):
        short = source.rpartition(".")[2] or None
    named = _present(Source=source, SourceShortName=short, Level=data.get("@level"))
    return {"Message": event.message} | _user_members(data) | named


def _source_members(event: StoredEvent, data: Data) -> dict[str, Any]:
    address = _object(data, "@request").get("client_ip_address")
    return {"Source": event.source} | _user_members(data) | _present(IpAddress=address)


def _session_members(event: StoredEvent, data: Data) -> dict[str, Any]:
    session = event.reference_id or data.get("@ref:session")
    ended = _present(SessionId=session, SessionEnd=data.get("sessionend"))
    value = {} if event.value is None else {"Value": str(event.value)}
    return ended | _user_members(data) | value


def _other_members(event: StoredEvent, data: Data) -> dict[str, Any]:
    message = event.message or event.source or f"{event.type} Event"
    return {"Message": message, "Source": event.source, "Type": event.type} | _user_members(data)


_MEMBERS: Final = {
    "error": _error_members,
    "simple": _simple_error_members,
    "log": _log_members,
    "feature": _source_members,
    "notfound": _source_members,
    "session": _session_members,
}


def _user_members(data: Data) -> dict[str, Any]:
    user = _object(data, "@user")
    return _present(Identity=user.get("identity"), Name=user.get("name"))


def _type_members(type_: Any) -> dict[str, Any]:
    """The full name of the type, and its last part: `System.Exception` becomes `Exception`."""
    if not isinstance(type_, str) or not type_:
        return {}
    return {"Type": type_.rpartition(".")[2] or type_, "TypeFullName": type_}


def _method_members(method: Any) -> dict[str, Any]:
    if not isinstance(method, str) or not method:
        return {}
    name = method.partition("(")[0]
    return {"Method": name.rpartition(".")[2] or name, "MethodFullName": method.removesuffix("()")}


def _object(members: Data, name: str) -> Data:
    found = members.get(name)
    return found if isinstance(found, dict) else _NOTHING


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if isinstance(value, str | datetime) and value}
