"""Defines the known objects in `data` and renames their members to snake_case.

Newer clients send snake_case, older ones PascalCase or camelCase; readers, filters and stacks look for
snake_case only. A member is renamed only if its canonical name is free, so that no value is lost, and nothing
else in these objects changes.
"""

from collections.abc import Mapping
from types import GenericAlias
from typing import Any, Final

import msgspec


class _Shape:
    """The members of one kind of object; `nested` are those that hold objects, or lists of them."""

    __slots__ = ("names", "nested", "spellings")

    def __init__(self, names: str, nested: Mapping[str, "_Shape"] | None = None) -> None:
        self.names: Final = frozenset(names.split())
        self.nested: Final = dict(nested or {})
        self.spellings: Final = {
            spelling: name for name in self.names for spelling in (name, name.replace("_", ""))
        }


_PARAMETER: Final = _Shape("name type type_namespace data generic_arguments")
_METHOD: Final = _Shape(
    "name declaring_namespace declaring_type module_id is_signature_target data generic_arguments parameters",
    {"parameters": _PARAMETER},
)
_FRAME: Final = _Shape(" ".join(_METHOD.names) + " file_name line_number column", {"parameters": _PARAMETER})
_MODULE: Final = _Shape("module_id name version is_entry created_date modified_date data")
_ERROR: Final = _Shape(
    "message type code data inner stack_trace target_method modules",
    {"stack_trace": _FRAME, "target_method": _METHOD, "modules": _MODULE},
)
_ERROR.nested["inner"] = _ERROR
_SIMPLE_ERROR: Final = _Shape("message type stack_trace data inner")
_SIMPLE_ERROR.nested["inner"] = _SIMPLE_ERROR
_ENVIRONMENT: Final = _Shape(
    "processor_count total_physical_memory available_physical_memory command_line process_name process_id"
    " process_memory_size thread_name thread_id architecture o_s_name o_s_version ip_address machine_name"
    " install_id runtime_version data"
)
_ENVIRONMENT.spellings.update(os_name="o_s_name", os_version="o_s_version")

_SHAPES: Final = {
    "@environment": _ENVIRONMENT,
    "@error": _ERROR,
    "@location": _Shape("country level1 level2 locality"),
    "@request": _Shape(
        "user_agent http_method is_secure host port path referrer client_ip_address headers cookies post_data"
        " query_string data"
    ),
    "@simple_error": _SIMPLE_ERROR,
    "@stack": _Shape("title signature_data"),
    "@user": _Shape("identity name data"),
    "@user_description": _Shape("email_address description data"),
}
_LEVELS: Final = 5
"""The nesting depth that one `msgspec.convert` checks; enough for usual errors."""


def _right_names(shape: _Shape, levels: int = _LEVELS) -> Any:
    """A type that validates only if every name in an object of the shape is canonical."""
    members: list[tuple[str, Any, Any]] = []
    for name in sorted(shape.names):
        kind: Any = Any
        # An object of another shape, or several; below the last level none is valid, so that `respell` walks.
        if name in shape.nested and levels:
            inner = _right_names(shape.nested[name], levels - 1)
            kind = inner | GenericAlias(list, inner) | None
        elif name in shape.nested:
            kind = None
        members.append((name, kind, None))
    return msgspec.defstruct("RightNames", members, forbid_unknown_fields=True, gc=False)


_RIGHT_NAMES: Final = msgspec.defstruct(
    "Data",
    [
        (name[1:], _right_names(shape) | None, msgspec.field(name=name, default=None))
        for name, shape in _SHAPES.items()
    ],
    gc=False,
)
KNOWN_OBJECTS: Final = {name: shape.names for name, shape in _SHAPES.items()}
"""The members of `data` that must be objects, with their members; other values there are renamed."""


def respell(data: Mapping[str, Any]) -> None:
    """Rename the members of the known objects in `data`, in place; unknown names stay."""
    try:
        msgspec.convert(data, _RIGHT_NAMES)  # 5 us for an error with 20 frames; the walk takes 30
    except (msgspec.ValidationError, RecursionError):
        _rename_members(data)


def _rename_members(data: Mapping[str, Any]) -> None:
    left: list[tuple[Any, _Shape]] = [(data[name], _SHAPES[name]) for name in _SHAPES.keys() & data.keys()]
    while left:  # not recursive: a chain of inner errors can have hundreds of members
        value, shape = left.pop()
        if isinstance(value, dict):
            # Sorted, so that the same one of two spellings always wins.
            for spelling in sorted(value.keys() - shape.names):
                name = shape.spellings.get(spelling.lower())
                if name is not None and value.get(name) is None:
                    value[name] = value.pop(spelling)
            left.extend((value[name], nested) for name, nested in shape.nested.items() if name in value)
        elif isinstance(value, list):
            left.extend((item, shape) for item in value)
