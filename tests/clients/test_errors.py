"""Errors with their stack traces: what is stored of each client's errors, and how they are stacked."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients.installation import Node
from tests.clients.js_client import AGENTS, NEW, JsClient, Starter
from tests.clients.stored import Reader, as_stored, new_reference_id, written
from tests.clients.traffic import net_client
from tests.clients.traffic.messages import status_of
from tests.clients.traffic.relay import Relay
from tests.end_to_end.running import RunningUp

pytestmark = pytest.mark.end_to_end

FRAME: Final[dict[str, Any]] = {
    "file_name": "C:\\src\\Shop\\Cart.cs",
    "line_number": 41,
    "column": 13,
    "is_signature_target": False,
    "declaring_namespace": "Shop.Carts",
    "declaring_type": "Cart",
    "name": "Price",
    "module_id": 2,
    "data": {"ILOffset": 12, "NativeOffset": 88},
    "generic_arguments": ["T"],
    "parameters": [
        {"name": "sku", "type": "String", "type_namespace": "System", "data": {}, "generic_arguments": []}
    ],
}
SYSTEM_FRAME: Final = {
    **FRAME,
    "file_name": None,
    "declaring_namespace": "System.Linq",
    "declaring_type": "Enumerable",
    "name": "First",
    "generic_arguments": [],
}
ERROR: Final[dict[str, Any]] = {
    "modules": [
        {
            "module_id": 2,
            "name": "Shop",
            "version": "4.1.0",
            "is_entry": True,
            "created_date": "2026-01-02T03:04:05.6789012Z",
            "modified_date": "2026-01-02T03:04:05Z",
            "data": {"Framework": "net8.0"},
        }
    ],
    "message": "The cart has no price.",
    "type": "Shop.CartException",
    "code": "-2146233088",
    "data": {"@ext": {"HelpLink": None, "Attempts": 3}},
    "inner": {
        "message": "One of the articles is unknown.",
        "type": "Shop.LookupException",
        "code": None,
        "data": {},
        "inner": {
            "message": "Sequence contains no elements",
            "type": "System.InvalidOperationException",
            "code": None,
            "data": {},
            "inner": None,
            "stack_trace": [SYSTEM_FRAME, FRAME],
            "target_method": SYSTEM_FRAME,
        },
        "stack_trace": [{**FRAME, "name": "Lookup"}],
        "target_method": {**FRAME, "name": "Lookup"},
    },
    "stack_trace": [{**FRAME, "name": "Total"}],
    "target_method": {**FRAME, "name": "Total"},
}
ENVIRONMENT: Final = {
    "processor_count": 8,
    "total_physical_memory": 17179869184,
    "available_physical_memory": 8589934592,
    "command_line": None,
    "process_name": "Shop",
    "process_id": "4711",
    "process_memory_size": 104857600,
    "thread_name": None,
    "thread_id": "17",
    "architecture": "x64",
    "o_s_name": "Windows Server 2022",
    "o_s_version": "10.0.20348",
    "ip_address": "10.1.2.3, fe80::1",
    "machine_name": "SHOP-1",
    "install_id": None,
    "runtime_version": ".NET 8.0.4",
    "data": {"FrameworkDescription": ".NET 8.0.4", "ProcessArchitecture": "X64"},
}


async def test_a_thrown_error(client: JsClient, reader: Reader, kind: str) -> None:
    """With its frames and the properties attached to it."""
    own = new_reference_id()
    members = {"code": "E_PRICE", "order": {"id": 7}, "ErrorCode": 12}
    thrown = {"thrown": {"type": "TypeError", "message": "no price", "members": members}}
    await client.submit(["createException", thrown], ["setReferenceId", own])

    [sent] = await client.send(1)

    error = sent["data"]["@error"]
    assert error["stack_trace"][0]["name"] == "throwDeep"
    assert error["data"]["@ext"] == members
    target = {"ExceptionType": "TypeError", "Method": "throwDeep()", "ErrorCode": "12", "Message": "no price"}
    stored_error = {**error, "data": {**error["data"], "@target": target}}
    expected = as_stored({**sent, "message": "no price"}, AGENTS[kind], {"@error": stored_error})
    assert written(await reader.event(own)) == expected


async def test_equal_errors_are_sent_once_with_their_number(
    node: Node, relay: Relay, up: RunningUp, reader: Reader, tmp_path: Path
) -> None:
    """The second and third wait until the client ends and become one event with the count 2."""
    thrown = {"thrown": {"type": "Error", "message": "again and again", "members": {}}}
    async with Starter(node, NEW, relay, up.ready.client_token, tmp_path).started() as client:
        for number in range(3):
            await client.submit(
                ["createException", thrown], ["setReferenceId", f"{new_reference_id()}-{number}"]
            )
        await client.end()

    first, merged = relay.events()
    assert (first.get("count"), merged["count"]) == (None, 2)
    assert (await reader.event(merged["reference_id"]))["count"] == 2


async def test_an_error_with_a_chain_of_inner_errors(up: RunningUp, reader: Reader) -> None:
    """Over 4096 characters: compressed and in chunks. Its data names the target that it is stacked by."""
    own = new_reference_id()
    sent = net_client.event(
        type="error", reference_id=own, data={"@error": ERROR, "@environment": ENVIRONMENT}
    )

    assert status_of(await net_client.post(up, [sent])) == 202

    target = {
        "ExceptionType": "System.InvalidOperationException",
        "Method": "Shop.Carts.Cart.Price[T](String sku)",
        "Message": "Sequence contains no elements",
    }
    error = {**ERROR, "data": {**ERROR["data"], "@target": target}}
    expected = as_stored({**sent, "message": ERROR["message"]}, net_client.AGENT, {"@error": error})
    assert written(await reader.event(own)) == expected
