"""What an error is stacked by: the innermost error that has a frame of the user's own code, and that frame.

Frames of the namespaces System and Microsoft are not the user's; a frame without a namespace is. Where no
error of the chain has one, the innermost error's target method stands for it, else its top frame, else its
type alone. Error numbers that applications attach count as well, for one method may fail in many ways.
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
    """What identifies an error: `ExceptionType`, `Method`, `Number`, `ErrorCode`, as far as there are any.

    `message` is the target error's, if it has frames.
    """

    info: dict[str, str]
    message: str | None = None


def find_target(error: Mapping[str, Any]) -> ErrorTarget | None:
    """The target of an `@error`; None where nothing in it tells errors apart."""
    chain = list(error_chain(error))[::-1]
    users = ((each, frame) for each in chain for frame in _frames(each) if _is_users(frame))
    target, method = next(users, None) or (chain[0], _other_method(chain[0]))
    named = {
        "ExceptionType": _text(target, "type"),
        "Method": "" if method is None else method_signature(method),
    }
    info = {name: text for name, text in {**named, **_numbers(target)}.items() if text}
    if not info:
        return None
    return ErrorTarget(info, _text(target, "message") if any(_frames(target)) else None)


def error_chain(error: Any) -> Iterator[dict[str, Any]]:
    """The error and what it was caused by, the outermost first; nothing where it is no object."""
    while isinstance(error, dict):
        yield error
        error = error.get("inner")


def simple_error_info(error: Mapping[str, Any]) -> dict[str, str]:
    """What tells an `@simple_error` apart: its type and a hash of its stack trace."""
    type_, trace = _text(error, "type"), _text(error, "stack_trace")
    info = {"ExceptionType": type_, "StackTrace": trace and sha1_hex(trace)}
    return {name: text for name, text in info.items() if text}


def sha1_hex(text: str) -> str:
    """SHA-1 in hex, of any text: it tells texts apart and guards nothing."""
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def method_signature(method: Mapping[str, Any]) -> str:
    """`Shop.Orders.Handler.Save[T](Order order)`; a method without a name is `<null>`."""
    name = _text(method, "name")
    if not name:
        return "<null>"
    owner = [_text(method, "declaring_namespace"), _text(method, "declaring_type").replace("+", ".")]
    generics = [text for item in _items(method, "generic_arguments") if (text := as_text(item))]
    parameters = [_parameter(item) for item in _items(method, "parameters") if isinstance(item, dict)]
    brackets = f"[{','.join(generics)}]" if generics else ""
    return f"{'.'.join([part for part in owner if part] + [name])}{brackets}({', '.join(parameters)})"


def _frames(error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (frame for frame in _items(error, "stack_trace") if isinstance(frame, dict))


def _is_users(frame: Mapping[str, Any]) -> bool:
    if not _text(frame, "name"):
        return False
    return _text(frame, "declaring_namespace").partition(".")[0] not in _NOT_THE_USERS


def _other_method(error: Mapping[str, Any]) -> Mapping[str, Any] | None:
    method = error.get("target_method")
    if isinstance(method, dict) and method:
        return method
    return next(_frames(error), None)


def _numbers(error: Mapping[str, Any]) -> dict[str, str]:
    data = error.get("data")
    extra = data.get(EXTRA_PROPERTIES) if isinstance(data, dict) else None
    return {name: _text(extra, name) for name in _NUMBERS} if isinstance(extra, dict) else {}


def _parameter(parameter: Mapping[str, Any]) -> str:
    kind = _text(parameter, "type").replace("+", ".") or _UNKNOWN_TYPE
    return f"{kind} {_text(parameter, 'name')}".rstrip()


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else as_text(value) or ""


def _items(members: Mapping[str, Any], name: str) -> list[Any]:
    value = members.get(name)
    return value if isinstance(value, list) else []
