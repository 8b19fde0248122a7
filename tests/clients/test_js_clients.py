"""Both official JavaScript clients, unmodified: events are read back as they were sent."""

import base64
from typing import Any, Final

import pytest

from tests.clients.js_client import AGENTS, NEW, OLD, JsClient, Starter
from tests.clients.stored import Reader, as_stored, new_reference_id, session_in, written
from tests.clients.traffic.relay import EVENTS, Relay

pytestmark = pytest.mark.end_to_end

LEVELS: Final = ("Trace", "Debug", "Info", "Warn", "Error", "Fatal")
FULL: Final[list[list[Any]]] = [
    ["createEvent"],
    ["setType", "import"],
    ["setSource", "warehouse"],
    ["setMessage", "Größe „L“ <b>&amp;</b> 🚚 \0 \ud83d!"],
    ["setValue", 12.75],
    ["setGeo", 47.5, -122.25],
    ["addTags", "urgent", "Blue Team", "URGENT"],
    ["markAsCritical", True],
    ["setEventReference", "parent", "first-of-many-01"],
    ["setUserIdentity", "jane+test@example.org", "Jane Ö."],
    ["setUserDescription", "jane@example.org", "It did not load."],
    ["setManualStackingKey", "imports", "All imports"],
    ["setProperty", "lines", [{"sku": "A-1", "price": 1.1, "free": False}, []]],
    ["setProperty", "empty", {"nothing": None, "": "no name", "deep": {"er": {"still": ["x"]}}}],
    ["setProperty", "tags", "a member of the data that is called like one of the event"],
]
"""Everything that a program can put into an event by itself."""
REQUEST: Final = {
    "method": "POST",
    "secure": True,
    "hostname": "shop.example.org",
    "path": "/cart",
    "ip": "203.0.113.9",
    "params": {"step": "2"},
    "body": {"sku": "A-1", "amount": 3},
    "headers": {
        "host": "shop.example.org:8443",
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "cookie": "theme=dark; sid=4711",
        "referer": "https://shop.example.org/",
        "accept-language": "de, en;q=0.5",
    },
}
"""As the web frameworks of Node hand it over."""
FIREFOX: Final = {
    "@browser": "Firefox",
    "@browser_version": "140.0",
    "@browser_major_version": "140",
    "@os": "Linux",
    "@is_bot": False,
}


async def test_a_log_of_each_level(client: JsClient, reader: Reader, kind: str) -> None:
    own = new_reference_id()
    for level in LEVELS:
        await client.submit(
            ["createLog", "orders.Checkout", f"line {level}", level], ["setReferenceId", f"{own}-{level}"]
        )

    sent = await client.send(len(LEVELS))

    assert tuple(event["data"]["@level"] for event in sent) == LEVELS
    stored = await reader.events(f"{own}-{level}" for level in LEVELS)
    assert [written(event) for event in stored] == [as_stored(event, AGENTS[kind]) for event in sent]


async def test_the_use_of_a_feature(client: JsClient, reader: Reader, kind: str) -> None:
    """Its name is the source."""
    own = new_reference_id()
    await client.submit(["createFeatureUsage", "Wizard.Next"], ["setReferenceId", own])

    [sent] = await client.send(1)

    assert (sent["type"], sent["source"]) == ("usage", "Wizard.Next")
    assert written(await reader.event(own)) == as_stored(sent, AGENTS[kind])


async def test_something_that_was_not_found(client: JsClient, reader: Reader, kind: str) -> None:
    """The path is the source; the location of the program is left out."""
    own = new_reference_id()
    await client.submit(["createNotFound", "/no/such/page"], ["setReferenceId", own])

    [sent] = await client.send(1)

    assert (sent["type"], sent["source"]) == ("404", "/no/such/page")
    del sent["data"]["@environment"]
    assert written(await reader.event(own)) == as_stored(sent, AGENTS[kind])


async def test_the_request_that_a_program_answered(client: JsClient, reader: Reader, kind: str) -> None:
    """As the client took it from the web framework; the browser is recognized."""
    own = new_reference_id()
    with_request = {
        NEW: ["setContextProperty", "@request", REQUEST],
        OLD: ["addRequestInfo", REQUEST],
    }
    await client.submit(["createLog", "shop", "slow", "Warn"], with_request[kind], ["setReferenceId", own])

    [sent] = await client.send(1)

    request = sent["data"]["@request"]
    assert (request["path"], request["port"], request["cookies"]["theme"]) == ("/cart", 8443, "dark")
    expected = as_stored(sent, AGENTS[kind], {"@request": {**request, "data": FIREFOX}})
    assert written(await reader.event(own)) == expected


async def test_everything_that_an_event_can_hold(client: JsClient, reader: Reader, kind: str) -> None:
    """Equal tags are stored once; characters that cannot be stored become U+FFFD."""
    own = new_reference_id()
    await client.submit(*FULL, ["setReferenceId", own])

    [sent] = await client.send(1)

    stored = await reader.event(own)
    assert written(stored) == as_stored(sent, AGENTS[kind], session_in(stored))
    assert stored["tags"] == ["urgent", "Blue Team", "Critical"]
    assert stored["message"] == "Größe „L“ <b>&amp;</b> 🚚 � �!"
    assert stored["data"]["@ref:parent"] == "first-of-many-01"


async def test_what_the_configuration_adds_to_every_event(
    starter: Starter, reader: Reader, kind: str
) -> None:
    """The version of the program and the user."""
    own = new_reference_id()
    user = ["setUserIdentity", "4711", "Jane"]
    async with starter.started(user) as client:
        await client.submit(
            ["createLog", "a", "b", "Info"], ["setProperty", "@version", "1.2.3"], ["setReferenceId", own]
        )
        [sent] = await client.send(1)

    stored = await reader.event(own)
    assert sent["data"]["@user"] == {"identity": "4711", "name": "Jane"}
    assert written(stored) == as_stored(sent, AGENTS[kind], session_in(stored))


async def test_five_hundred_queued_events(starter: Starter, relay: Relay, reader: Reader, kind: str) -> None:
    """In posts of 50; a client queues 250 at most. All are found as they were sent."""
    own = new_reference_id()
    async with starter.started() as client:
        for half in (0, 250):
            for number in range(half, half + 250):
                await client.submit(
                    ["createLog", "bulk", f"line {number}", "Info"], ["setReferenceId", f"{own}-{number}"]
                )
            sent = await client.send(half + 250)

    stored = await reader.events(f"{own}-{number}" for number in range(500))
    assert [written(event) for event in stored] == [as_stored(event, AGENTS[kind]) for event in sent]
    posts = relay.exchanges(EVENTS)
    assert [exchange.status for exchange in posts] == [202] * 10


async def test_a_post_that_is_too_large_is_sent_again_in_smaller_ones(
    client: JsClient, relay: Relay, reader: Reader, kind: str
) -> None:
    """The client can read the 413 and sends smaller batches until they fit."""
    own = new_reference_id()
    for number in range(50):
        await client.submit(
            ["createLog", "large", f"line {number}", "Info"],
            ["setProperty", "text", "x" * 12_000],
            ["setReferenceId", f"{own}-{number}"],
        )

    sent = await client.send(50)

    stored = await reader.events(f"{own}-{number}" for number in range(50))
    assert [written(event) for event in stored] == [as_stored(event, AGENTS[kind]) for event in sent]
    posts = relay.exchanges(EVENTS)
    assert [exchange.status for exchange in posts] == [413] * 3 + [202] * 4


async def test_events_that_are_queued_at_exit_are_sent(
    starter: Starter, relay: Relay, reader: Reader
) -> None:
    """The newer client sends them before it exits, the older one from a separate process."""
    own = new_reference_id()
    async with starter.started() as client:
        await client.submit(["createLog", "the last words"], ["setReferenceId", own])
        assert relay.events() == []
        await client.end()

    assert (await reader.event(own))["message"] == "the last words"


async def test_an_address_that_ends_in_a_slash(starter: Starter, relay: Relay, reader: Reader) -> None:
    """Both clients then send a double slash."""
    own = new_reference_id()
    async with starter.started(path="/") as client:
        await client.submit(["createLog", "hello"], ["setReferenceId", own])
        await client.send(1)

    [post] = relay.exchanges(EVENTS)
    assert post.target.endswith("//api/v2/events")
    assert (await reader.event(own))["message"] == "hello"


async def test_how_each_client_authenticates(
    client: JsClient, relay: Relay, kind: str, starter: Starter
) -> None:
    """With a bearer token, or with Basic, an absolute target and no user agent."""
    await client.submit(["createLog", "hello"])
    await client.send(1)

    [post] = relay.exchanges(EVENTS)
    basic = base64.b64encode(f"client:{starter.token}".encode()).decode()
    expected = {
        NEW: (f"Bearer {starter.token}", EVENTS, "exceptionless-js/3.2.1"),
        OLD: (f"Basic {basic}", relay.url + EVENTS, None),
    }
    assert (
        post.request.headers["authorization"],
        post.target,
        post.request.headers.get("user-agent"),
    ) == expected[kind]
    assert post.answer.body == b""
