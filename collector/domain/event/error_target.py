"""Finds what an error is stacked by: the innermost error with a frame in user code, and that frame.

Frames in the namespaces System and Microsoft are not user code; a frame without a namespace is. If no error
in the chain has such a frame, the innermost error's target method is used, else its top frame, else its type
alone. Error numbers attached by applications count as well, because one method can fail in many ways.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector.domain.event.members import as_text

EXTRA_PROPERTIES: Final = "@ext"

_NOT_THE_USERS: Final = ("System", "Microsoft")
_NUMBERS: Final = ("Number", "ErrorCode")
_UNKNOWN_TYPE: Final = "<UnknownType>"


@dataclass(frozen=True, slots=True)
class ErrorTarget:
    """What identifies an error: `ExceptionType`, `Method`, `Number`, `ErrorCode`, if present.

    `message` is the message of the target error, if it has frames.
    """

    info: dict[str, str]
    message: str | None = None


def find_target(error: Mapping[str, Any]) -> ErrorTarget | None:
    """The target of an `@error`, or None if nothing in it distinguishes errors."""
    chain = list(error_chain(error))[::-1]
    # The first frame of the user's own code, beginning with the innermost error.
    users = (
        (each, frame)
        for each in chain
        for frame in _frames(each)
        if _text(frame, "name")
        and _text(frame, "declaring_namespace").partition(".")[0] not in _NOT_THE_USERS
    )
    # Otherwise the innermost error and the method that it names, or else its top frame.
    target, method = next(users, None) or (chain[0], chain[0].get("target_method"))
    if not isinstance(method, dict) or not method:
        method = next(_frames(target), None)
    # Numbers that .NET puts into the properties of some exceptions distinguish them as well.
    data = target.get("data")
    extra = data.get(EXTRA_PROPERTIES) if isinstance(data, dict) else None
    numbers = {name: _text(extra, name) for name in _NUMBERS} if isinstance(extra, dict) else {}
    named = {
        "ExceptionType": _text(target, "type"),
        "Method": "" if method is None else method_signature(method),
    }
    info = {name: text for name, text in {**named, **numbers}.items() if text}
    if not info:
        return None
    return ErrorTarget(info, _text(target, "message") if any(_frames(target)) else None)


def error_chain(error: Any) -> Iterator[dict[str, Any]]:
    """The error and its inner errors, outermost first; empty if it is not an object."""
    while isinstance(error, dict):
        yield error
        error = error.get("inner")


def simple_error_info(error: Mapping[str, Any]) -> dict[str, str]:
    """What identifies an `@simple_error`: its type and a hash of its stack trace."""
    type_, trace = _text(error, "type"), _text(error, "stack_trace")
    info = {"ExceptionType": type_, "StackTrace": trace and sha1_hex(trace)}
    return {name: text for name, text in info.items() if text}


def sha1_hex(text: str) -> str:
    """SHA-1 of any text in hex; identifies content and has no security purpose."""
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def method_signature(method: Mapping[str, Any]) -> str:
    """A signature like `Shop.Orders.Handler.Save[T](Order order)`; `<null>` for a method without a name."""
    name = _text(method, "name")
    if not name:
        return "<null>"
    # Nested types are written `Outer+Inner`.
    owner = [_text(method, "declaring_namespace"), _text(method, "declaring_type").replace("+", ".")]
    generics = [text for item in _items(method, "generic_arguments") if (text := as_text(item))]
    parameters = [
        f"{_text(item, 'type').replace('+', '.') or _UNKNOWN_TYPE} {_text(item, 'name')}".rstrip()
        for item in _items(method, "parameters")
        if isinstance(item, dict)
    ]
    brackets = f"[{','.join(generics)}]" if generics else ""
    return f"{'.'.join([part for part in owner if part] + [name])}{brackets}({', '.join(parameters)})"


def _frames(error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (frame for frame in _items(error, "stack_trace") if isinstance(frame, dict))


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else as_text(value) or ""


def _items(members: Mapping[str, Any], name: str) -> list[Any]:
    value = members.get(name)
    return value if isinstance(value, list) else []
