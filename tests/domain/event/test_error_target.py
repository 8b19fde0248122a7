"""The target of an error: the place in the user's own code where it happened."""

from typing import Any

import pytest

from collector.domain.event.error_target import ErrorTarget, find_target, method_signature


def a_frame(
    name: str | None = "Save", namespace: str | None = "Shop.Orders", **members: Any
) -> dict[str, Any]:
    return {"name": name, "declaring_namespace": namespace, "declaring_type": "Handler"} | members


def an_error(*frames: Any, **members: Any) -> dict[str, Any]:
    """An error with these frames, the innermost call first."""
    return {"type": "ShopError", "message": "No stock.", "stack_trace": list(frames)} | members


SYSTEM = a_frame("Throw", "System.Threading")
MICROSOFT = a_frame("Invoke", "Microsoft.AspNetCore")


@pytest.mark.parametrize(
    ("error", "info"),
    [
        pytest.param(
            an_error(SYSTEM, a_frame(), a_frame("Other")),
            {"ExceptionType": "ShopError", "Method": "Shop.Orders.Handler.Save()"},
            id="the first frame of the user's own",
        ),
        pytest.param(
            an_error(a_frame("Outer"), type="Wrapper", inner=an_error(SYSTEM, a_frame("Inner"))),
            {"ExceptionType": "ShopError", "Method": "Shop.Orders.Handler.Inner()"},
            id="the innermost error is looked at first",
        ),
        pytest.param(
            an_error(a_frame("Outer"), type="Wrapper", inner=an_error(SYSTEM)),
            {"ExceptionType": "Wrapper", "Method": "Shop.Orders.Handler.Outer()"},
            id="then the ones around it",
        ),
        pytest.param(
            an_error(SYSTEM, a_frame("render", None, declaring_type=None)),
            {"ExceptionType": "ShopError", "Method": "render()"},
            id="a frame without a namespace is the user's",
        ),
        pytest.param(
            an_error(SYSTEM, a_frame("Start", "Systematic")),
            {"ExceptionType": "ShopError", "Method": "Systematic.Handler.Start()"},
            id="a namespace that only begins like System",
        ),
        pytest.param(
            an_error(a_frame(None), MICROSOFT, target_method=a_frame("Target", "System")),
            {"ExceptionType": "ShopError", "Method": "System.Handler.Target()"},
            id="else the target method",
        ),
        pytest.param(
            an_error(MICROSOFT, SYSTEM),
            {"ExceptionType": "ShopError", "Method": "Microsoft.AspNetCore.Handler.Invoke()"},
            id="else the top frame",
        ),
        pytest.param(an_error(), {"ExceptionType": "ShopError"}, id="else the type"),
        pytest.param(
            an_error(type=None, inner=an_error(type="Inner")),
            {"ExceptionType": "Inner"},
            id="the inner one's",
        ),
        pytest.param(
            an_error(a_frame(), data={"@ext": {"Number": 2627, "ErrorCode": "E7", "Line": 3}}),
            {
                "ExceptionType": "ShopError",
                "Method": "Shop.Orders.Handler.Save()",
                "Number": "2627",
                "ErrorCode": "E7",
            },
            id="numbers of the application",
        ),
    ],
)
def test_the_target_is_the_innermost_place_in_the_users_own_code(
    error: dict[str, Any], info: dict[str, str]
) -> None:
    """Or the nearest candidate."""
    found = find_target(error)

    assert found is not None
    assert found.info == info


def test_the_message_is_that_of_the_target() -> None:
    """Of an error with frames: one without frames says nothing about the place."""
    inner = an_error(a_frame(), message="Row is locked.")

    assert find_target(an_error(message="Failed.", inner=inner)) == ErrorTarget(
        {"ExceptionType": "ShopError", "Method": "Shop.Orders.Handler.Save()"}, "Row is locked."
    )
    assert find_target(an_error()) == ErrorTarget({"ExceptionType": "ShopError"}, None)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param({}, id="empty"),
        pytest.param({"type": None, "stack_trace": None, "inner": None, "data": None}, id="nulls"),
        pytest.param({"type": {}, "stack_trace": "at f", "inner": [], "data": 1}, id="wrong types"),
        pytest.param({"stack_trace": [None, 1, []], "target_method": "f"}, id="wrong frames"),
        pytest.param({"data": {"@ext": [1]}}, id="wrong extra properties"),
    ],
)
def test_an_error_without_usable_data_has_no_target(error: dict[str, Any]) -> None:
    assert find_target(error) is None


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        pytest.param(a_frame(), "Shop.Orders.Handler.Save()", id="plain"),
        pytest.param(
            a_frame(declaring_type="Outer+Inner"), "Shop.Orders.Outer.Inner.Save()", id="nested type"
        ),
        pytest.param(
            a_frame(
                generic_arguments=["T", "U"],
                parameters=[{"name": "order", "type": "Order+Line"}, {"name": "x"}, {"type": "Int32"}, None],
            ),
            "Shop.Orders.Handler.Save[T,U](Order.Line order, <UnknownType> x, Int32)",
            id="generic arguments and parameters",
        ),
        pytest.param(a_frame(parameters="x", generic_arguments={}), "Shop.Orders.Handler.Save()", id="odd"),
        pytest.param({"name": None, "declaring_type": "T"}, "<null>", id="no name"),
    ],
)
def test_a_method_is_written_so_that_overloads_differ(method: dict[str, Any], signature: str) -> None:
    """As the official server writes it."""
    assert method_signature(method) == signature
