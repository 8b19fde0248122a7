"""Events with the same signature share a stack in their project."""

import hashlib
from typing import Any

import pytest

from collector.domain.event.enrich import Draft, apply_rules
from collector.domain.event.stack import MAXIMUM_TITLE_LENGTH, Stack, find_stack, plain_stack, stack_title
from collector.domain.project.rules import DEFAULT_RULES

PROJECT = b"\x02" * 16
OTHER_PROJECT = b"\x03" * 16
FRAME = {"name": "Save", "declaring_namespace": "Shop", "declaring_type": "Orders"}
ERROR = {"type": "ShopError", "message": "No stock.", "stack_trace": [FRAME]}


def a_stack(type_: str = "log", source: str | None = None, **data: Any) -> Stack:
    """The stack of an event with these members of `data`; `at_x` is `@x`."""
    return normalized(type_, source, {name.replace("at_", "@"): value for name, value in data.items()})


def normalized(type_: str, source: str | None, data: dict[str, Any]) -> Stack:
    """The stack of an event after all rules."""
    draft = Draft(type_, None, source, None, data)
    apply_rules(draft, DEFAULT_RULES)
    return find_stack(PROJECT, draft.type, draft.source, draft.data, draft.error_info)


@pytest.mark.parametrize(
    ("stack", "info"),
    [
        pytest.param(a_stack("log", "Shop"), {"Type": "log", "Source": "Shop"}, id="type and source"),
        pytest.param(a_stack("log", ""), {"Type": "log"}, id="no source"),
        pytest.param(
            a_stack("error", "Shop", at_error=ERROR),
            {"ExceptionType": "ShopError", "Method": "Shop.Orders.Save()"},
            id="an error",
        ),
        pytest.param(
            a_stack("log", "Shop", at_error=ERROR),
            {"Type": "log", "Source": "Shop"},
            id="error data of a log",
        ),
        pytest.param(
            a_stack("error", "Shop", at_error={"message": "?"}),
            {"Type": "error", "Source": "Shop"},
            id="an empty error",
        ),
        pytest.param(
            a_stack("error", at_simple_error={"type": "TypeError", "stack_trace": "at f"}),
            {"ExceptionType": "TypeError", "StackTrace": hashlib.sha1(b"at f").hexdigest()},  # noqa: S324
            id="a simple error",
        ),
        pytest.param(
            a_stack("error", at_simple_error={"type": "TypeError"}),
            {"ExceptionType": "TypeError"},
            id="a simple error without a trace",
        ),
        pytest.param(
            a_stack("error", at_error=ERROR, at_stack={"signature_data": {"job": "nightly", "try": 3}}),
            {"job": "nightly", "try": "3"},
            id="the sender's signature comes first",
        ),
        pytest.param(
            a_stack("log", "Shop", at_stack={"signature_data": {"a": "", "b": None, "c": {}}}),
            {"Type": "log", "Source": "Shop"},
            id="an empty signature of the sender",
        ),
        pytest.param(
            a_stack("log", "Shop", at_stack={"signature_data": "x"}),
            {"Type": "log", "Source": "Shop"},
            id="signature data of a wrong type",
        ),
        pytest.param(
            a_stack("log", "Shop", at_stack="x", at_error=[], at_simple_error=1),
            {"Type": "log", "Source": "Shop"},
            id="wrong types",
        ),
    ],
)
def test_the_signature_is_the_most_specific_available(stack: Stack, info: dict[str, str]) -> None:
    """The sender's, the error's target, or type and source."""
    values = "\0".join(info.values()).encode()
    assert stack.signature_info == info
    assert stack.signature_hash == hashlib.sha1(values).hexdigest()  # noqa: S324


def test_the_id_never_changes() -> None:
    """Other workers and later versions must compute the same."""
    assert plain_stack(PROJECT, "log", "Shop").id.hex() == "5e505b28d150aed27f39045c205e9b9b"
    assert a_stack("log", "Shop") == plain_stack(PROJECT, "log", "Shop")


def test_stacks_differ_by_project_and_by_each_value() -> None:
    """Also if concatenating the values would give the same text."""
    ids = {
        plain_stack(PROJECT, "log", "Shop").id,
        plain_stack(OTHER_PROJECT, "log", "Shop").id,
        plain_stack(PROJECT, "log", None).id,
        plain_stack(PROJECT, "lo", "gShop").id,
    }

    assert len(ids) == 4


def test_the_stored_signature_is_bounded_but_its_hash_covers_all() -> None:
    """A signature can be as long as a post."""
    long = "x" * 5000
    first, second = (
        a_stack(at_stack={"title": "t" * 5000, "signature_data": {long: long + end, **_many()}})
        for end in "ab"
    )

    assert first.id != second.id
    assert len(first.signature_info) == 50
    assert max(map(len, [*first.signature_info, *first.signature_info.values()])) == 1000
    assert len(first.title) == MAXIMUM_TITLE_LENGTH


def _many() -> dict[str, str]:
    return {f"key {number}": "value" for number in range(100)}


def test_any_text_can_be_a_signature() -> None:
    """Normalizing must not fail."""
    assert a_stack("log", "\ud800").id != a_stack("log", "\ud801").id


@pytest.mark.parametrize(
    ("type_", "source", "message", "data", "title"),
    [
        pytest.param("log", "Shop", "m", {}, "Shop", id="a log by its source"),
        pytest.param("log", None, "m", {}, "(Global)", id="a log without a source"),
        pytest.param("404", "GET /x", "m", {}, "GET /x", id="a 404 by its path"),
        pytest.param("usage", None, None, {}, "(Unknown)", id="a feature without a name"),
        pytest.param("session", None, None, {}, "Session Start", id="a session"),
        pytest.param("sessionend", None, None, {}, "Session End", id="its end"),
        pytest.param("error", "s", "mine", {"@error": ERROR}, "No stock.", id="an error by its message"),
        pytest.param("error", "s", "mine", {}, "mine", id="an error without data"),
        pytest.param("error", "s", None, {}, "Unknown Error", id="an empty error"),
        pytest.param(
            "error", None, None, {"@simple_error": {"type": "T", "message": "m"}}, "m", id="a simple error"
        ),
        pytest.param("order", "s", "m", {}, "m", id="any other by its message"),
        pytest.param("order", "s", None, {}, "s", id="else by its source"),
        pytest.param("order", None, None, {}, "order Event", id="else by its type"),
        pytest.param("log", "Shop", "m", {"@stack": {"title": " Mine "}}, "Mine", id="as the sender says"),
        pytest.param(
            "error", "s", "m", {"@stack": {"title": " "}, "@error": ERROR}, "No stock.", id="a blank title"
        ),
    ],
)
def test_the_title_of_a_stack_comes_from_its_first_event(
    type_: str, source: str | None, message: str | None, data: dict[str, Any], title: str
) -> None:
    assert stack_title(normalized(type_, source, data), type_, source, message) == title
