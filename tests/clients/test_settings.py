"""Settings reach the clients and change what they send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.clients.js_client import JsClient, Starter
from tests.clients.stored import Reader, as_stored, new_reference_id, written
from tests.clients.traffic import net_client
from tests.clients.traffic.relay import CONFIG, EVENTS, Relay
from tests.end_to_end.running import RunningUp
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end


class Settings:
    """The project's settings, changed as its owner does."""

    def __init__(self, api: aiohttp.ClientSession, project_id: str) -> None:
        self._api = api
        self._url = f"/api/v2/projects/{project_id}/config"

    async def version(self) -> int:
        """The version in force."""
        async with self._api.get(self._url) as response:
            assert response.status == 200
            return int((await response.json())["version"])

    @asynccontextmanager
    async def with_one_more(self, key: str, value: str) -> AsyncIterator[int]:
        """Add a setting inside the block; yields its version."""
        async with self._api.post(self._url, params={"key": key}, json={"value": value}) as response:
            assert response.status == 200
        try:
            yield await self.version()
        finally:
            async with self._api.delete(self._url, params={"key": key}) as response:
                assert response.status == 200


@pytest.fixture
def settings(api: aiohttp.ClientSession, up: RunningUp) -> Settings:
    """The settings of the project that all clients post to."""
    return Settings(api, up.ready.project_id)


async def learned(client: JsClient, version: int) -> None:
    """Post until the client has asked for that version: answers to posts name the one in force."""

    async def has_learned() -> bool:
        await client.submit(["createLog", "an occasion"])
        await client.do({"send": True})
        return int((await client.settings())["version"]) >= version

    await until(has_learned, 30, f"version {version} in the client")


async def test_a_client_asks_for_the_settings_when_a_post_is_answered(
    client: JsClient, relay: Relay, settings: Settings
) -> None:
    """It starts with version 0, has the current one after its first post, and does not ask again."""
    await learned(client, await settings.version())
    posts = len(relay.exchanges(EVENTS))
    await client.submit(["createLog", "one more"])
    await client.send(posts + 1)

    [asked] = [exchange for exchange in relay.exchanges(CONFIG) if exchange.query["v"] == ["0"]]
    assert asked.status == 200
    has = await client.settings()
    assert "bot" in has["settings"]["@@UserAgentBotPatterns"]


async def test_a_minimum_level_keeps_lesser_logs_in_the_client(
    client: JsClient, settings: Settings, reader: Reader
) -> None:
    """Only for the source that it is set for."""
    own = new_reference_id()
    async with settings.with_one_more("@@log:noisy.*", "Warn") as version:
        await learned(client, version)
        levels = {"Debug": True, "Info": True, "Warn": False, "Error": False}
        for level, expected in levels.items():
            dropped = await client.submit(
                ["createLog", "noisy.Part", "a line", level], ["setReferenceId", f"{own}-{level}"]
            )
            assert dropped is expected
        assert (
            await client.submit(["createLog", "quiet", "a line", "Debug"], ["setReferenceId", f"{own}-quiet"])
            is False
        )
        await client.send_event(f"{own}-quiet")

    await reader.events([f"{own}-Warn", f"{own}-Error", f"{own}-quiet"])
    assert await reader.found(f"{own}-Info") == []


async def test_an_excluded_feature_is_not_sent(client: JsClient, settings: Settings) -> None:
    """Other features are."""
    async with settings.with_one_more("@@usage:Secret", "false") as version:
        await learned(client, version)

        assert await client.submit(["createFeatureUsage", "Secret"]) is True
        assert await client.submit(["createFeatureUsage", "Public"]) is False


async def test_excluded_data_does_not_leave_the_client(
    client: JsClient, settings: Settings, reader: Reader
) -> None:
    """It is removed at every depth; everything else stays."""
    own = new_reference_id()
    async with settings.with_one_more("@@DataExclusions", "*password*,cardNumber") as version:
        await learned(client, version)
        order = {"cardNumber": "4111", "id": 7, "inner": {"userPassword": "hush"}}
        await client.submit(
            ["createLog", "an order"], ["setProperty", "order", order], ["setReferenceId", own]
        )
        sent = await client.send_event(own)
        stored = await reader.event(own)

    assert sent["data"]["order"] == {"id": 7, "inner": {}}
    assert stored["data"]["order"] == {"id": 7, "inner": {}}


async def test_settings_outlive_the_client(starter: Starter, settings: Settings) -> None:
    """The newer client keeps them on disk and asks only for changes; the older one starts over."""
    async with starter.started() as client:
        await learned(client, await settings.version())
        kept = await client.settings()
        await client.end()

    async with starter.started() as client:
        assert (await client.settings() == kept) is (starter.kind == "exceptionless-node")


async def test_excluded_data_of_any_client_is_left_out_by_the_worker(
    up: RunningUp, settings: Settings, reader: Reader
) -> None:
    """Whether or not the client has the setting yet."""
    sent = net_client.event(
        message="an order", reference_id=new_reference_id(), data={"cardNumber": "4111", "order": {"id": 7}}
    )
    async with settings.with_one_more("@@DataExclusions", "cardNumber"):
        await net_client.post(up, [sent])
        stored = await reader.event(sent["reference_id"])

    del sent["data"]["cardNumber"]
    assert written(stored) == as_stored(sent, net_client.AGENT)
