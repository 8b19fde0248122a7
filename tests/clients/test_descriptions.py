"""Users' descriptions of events: each is merged into its event, whichever of the two came first."""

import json

import pytest

from tests.clients.js_client import AGENTS, JsClient
from tests.clients.stored import Reader, as_stored, new_reference_id, written
from tests.clients.traffic import net_client
from tests.clients.traffic.messages import status_of
from tests.clients.traffic.raw_http import answers_to, request_of
from tests.clients.traffic.relay import Relay
from tests.end_to_end.running import RunningUp
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("first", ["the event", "the description"])
async def test_a_description_by_reference(
    client: JsClient, relay: Relay, reader: Reader, kind: str, first: str
) -> None:
    """Sent immediately, while the event may wait in the client's queue."""
    own = new_reference_id()
    described = ("updateUserEmailAndDescription", own, "jane@example.org", "It did nothing.")
    await client.submit(["createLog", "nothing happened"], ["setReferenceId", own])

    if first == "the description":
        await client.call(*described)
    [sent] = await client.send(1)
    if first == "the event":
        await reader.event(own)
        await client.call(*described)

    path = f"/api/v2/events/by-ref/{own}/user-description"
    await until(lambda: bool(relay.exchanges(path)), 20, "the answer to the description")
    assert [exchange.status for exchange in relay.exchanges(path)] == [202]
    stored = await reader.event_with(own, lambda data: "@user_description" in data)
    said = {"email_address": "jane@example.org", "description": "It did nothing."}
    assert written(stored) == as_stored(sent, AGENTS[kind], {"@user_description": said})


async def test_a_description_with_data(up: RunningUp, reader: Reader) -> None:
    """It is merged once both are there, whichever came first."""
    own = new_reference_id()
    described = {"email_address": "jane@example.org", "description": "It was slow.", "data": {"Plan": "gold"}}
    body = json.dumps(described).encode()
    line = f"POST /api/v2/events/by-ref/{own}/user-description HTTP/1.1"
    kind = "Content-Type: application/json; charset=utf-8"

    [answer] = await answers_to(
        up.ready.url,
        request_of(line, *net_client.headers(up, kind, f"Content-Length: {len(body)}"), body=body),
    )
    sent = net_client.event(message="slow", reference_id=own)
    await net_client.post(up, [sent])

    assert status_of(answer) == 202
    assert int(answer.headers["x-exceptionless-configversion"]) >= 1
    stored = await reader.event_with(own, lambda data: "@user_description" in data)
    assert written(stored) == as_stored(sent, net_client.AGENT, {"@user_description": described})
