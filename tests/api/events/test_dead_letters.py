"""Dead letters in the API: people who manage the server list, show, replay and discard them."""

import gzip
from typing import Any

import pytest

from collector.api.events import dead_letters
from collector.domain.event.outcome import DeadLetterReason
from tests.api.running_api import RunningApi
from tests.database.rows import OTHER_PROJECT, PROJECT, a_letter, normalized

pytestmark = pytest.mark.integration

PATH = "/api/v2/admin/dead-letters"


async def keep(api: RunningApi, *letters: Any) -> None:
    await api.save(normalized(dead_letters=list(letters)))


async def listed(api: RunningApi, **query: str) -> list[Any]:
    found: list[Any] = (await api.get(PATH, api.people.admin, params=query)).json
    return found


async def test_they_are_listed_newest_first_page_by_page(api: RunningApi) -> None:
    """By reason, project, time and id."""
    first, second = a_letter(), a_letter(reason=DeadLetterReason.TOO_DEEP, body=b"")
    theirs = a_letter(project_id=OTHER_PROJECT)
    await keep(api, first, second, theirs)

    page = await api.get(PATH, api.people.admin, params={"limit": "2"})

    assert [letter["id"] for letter in page.json] == [theirs.id.hex, second.id.hex]
    assert page.json[1] | {"created_utc": ""} == {
        "id": second.id.hex,
        "project_id": PROJECT.hex,
        "project_name": "Shop",
        "reason": "too_deep",
        "detail": "not gzip",
        "accepted_utc": "2026-11-23T12:00:00Z",
        "created_utc": "",
        "bytes": 0,
        "removed_bytes": 0,
        "can_be_replayed": False,
    }
    following = page.headers["Link"].partition("<")[2].partition(">")[0]
    rest = await api.get(following.removeprefix(api.url), api.people.admin)
    assert ([letter["id"] for letter in rest.json], "Link" in rest.headers) == ([first.id.hex], False)
    assert [each["reason"] for each in await listed(api, reason="too_deep")] == ["too_deep"]
    assert [each["id"] for each in await listed(api, project=OTHER_PROJECT.hex)] == [theirs.id.hex]
    assert [each["id"] for each in await listed(api, ids=first.id.hex)] == [first.id.hex]
    assert await listed(api, time="2020-01-01-2020-02-01") == []
    assert len(await listed(api, time="last hour")) == 3


async def test_one_is_shown_with_its_content(api: RunningApi) -> None:
    """Decompressed where that works, cut where it is long, and with what is no text replaced."""
    packed = gzip.compress(b"<script>" + b"x" * 100_000)
    whole, broken = a_letter(body=packed, content_encoding="gzip", user_agent="shop/1"), a_letter()
    await keep(api, whole, broken)

    shown = (await api.get(f"{PATH}/{whole.id.hex}", api.people.admin)).json
    other = (await api.get(f"{PATH}/{broken.id.hex}", api.people.admin)).json["content"]

    assert (shown["reason"], shown["bytes"]) == ("corrupt_encoding", len(packed))
    assert shown["content"]["text"] == "<script>" + "x" * (64 * 1024 - 8)
    assert (shown["content"]["is_cut"], shown["content"]["is_decompressed"]) == (True, True)
    assert (shown["content"]["user_agent"], other["text"]) == ("shop/1", "\x1f\ufffd\x00\ufffd")
    assert (await api.get(f"{PATH}/{'0' * 32}", api.people.admin)).status == 404
    assert (await api.get(f"{PATH}/{'z' * 32}", api.people.admin)).status == 404


async def test_they_are_counted_first_and_then_replayed_in_bounded_requests(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MOST_AT_ONCE", 100)
    await keep(api, *(a_letter() for _ in range(150)), a_letter(body=b""))

    counted = await api.post(f"{PATH}/replay", api.people.admin, params={"count_only": "true"})
    first = await api.post(f"{PATH}/replay", api.people.admin, params={"reason": "corrupt_encoding"})
    second = await api.post(f"{PATH}/replay", api.people.admin)

    assert counted.json == {
        "letters": 151, "bytes": 600, "done": 0, "left": 150, "cannot_be_replayed": 1
    }  # fmt: skip
    assert (first.json["done"], first.json["left"]) == (100, 50)
    assert (second.json["done"], second.json["left"], second.json["cannot_be_replayed"]) == (50, 0, 1)
    overview = (await api.get("/api/v2/admin/overview", api.people.admin)).json
    assert (overview["replays"], overview["held_posts"]) == (150, 0)


async def test_they_are_discarded_only_if_it_is_said_which(api: RunningApi) -> None:
    await keep(api, a_letter(), a_letter(reason=DeadLetterReason.TOO_DEEP), a_letter())

    refused = await api.request("DELETE", PATH, api.people.admin)
    deep = await api.request("DELETE", PATH, api.people.admin, params={"reason": "too_deep"})
    rest = await api.request("DELETE", PATH, api.people.admin, params={"all": "true"})

    assert refused.status == 400
    assert (deep.json["done"], rest.json["done"], await listed(api)) == (1, 2, [])


@pytest.mark.parametrize(
    "query",
    [
        {"reason": "nonsense"},
        {"ids": "x"},
        {"ids": ",".join(["0" * 32] * 101)},
        {"time": "x"},
        {"before": "x"},
    ],
)
async def test_what_cannot_be_understood_is_said(api: RunningApi, query: dict[str, str]) -> None:
    assert (await api.get(PATH, api.people.admin, params=query)).status == 400


async def test_an_unknown_project_is_not_found(api: RunningApi) -> None:
    unknown = {"project": "0" * 32}

    assert (await api.get(PATH, api.people.admin, params=unknown)).status == 404
    assert (await api.post(f"{PATH}/replay", api.people.admin, params=unknown)).status == 404
    assert (await api.request("DELETE", PATH, api.people.admin, params=unknown)).status == 404
