"""`headrace demo`: sends the events of an imagined shop, as its programs would, to have something to look at.

Two and a half days of errors in five languages, logs, features, missing pages and people; a deployment in the
middle breaks the checkout. The same seed gives the same events. Everything goes through the API with a client
token, a hundred events a post.
"""

import asyncio
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

import aiohttp
import msgspec
import orjson

from collector.process.lifecycle import StartError

_SPAN: Final = timedelta(hours=60)
"""Below the three days after which events are too old."""
_DEPLOYED: Final = timedelta(hours=19)
_EVENTS_PER_POST: Final = 100
_POSTS_AT_ONCE: Final = 4
_TRIES: Final = 5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)

_NEW_VISITORS: Final = 0.25
_UPDATED: Final = 0.93

Event = dict[str, Any]
Person = tuple[str, str, str, str]
"""Name, address, browser and country."""


class Kind(msgspec.Struct, frozen=True):
    """One thing that happens again and again: how often, by the new and by the old version of its program."""

    weight: float
    before: float
    program: str
    event: Event


async def send_demo(url: str, token: str, count: int, now: datetime, seed: int) -> AsyncIterator[int]:
    """Send the events; yields how many are accepted so far. Raises StartError if the server refuses them."""
    events = list(demo_events(count, now, seed))
    slots, accepted = asyncio.Semaphore(_POSTS_AT_ONCE), 0
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:

        async def post(part: Sequence[Event]) -> int:
            async with slots:
                await _post(session, f"{url.rstrip('/')}/api/v2/events", orjson.dumps(part))
            return len(part)

        posts = [
            asyncio.ensure_future(post(events[start : start + _EVENTS_PER_POST]))
            for start in range(0, len(events), _EVENTS_PER_POST)
        ]
        try:
            for finished in asyncio.as_completed(posts):
                accepted += await finished
                yield accepted
        finally:
            for each in posts:
                each.cancel()


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            async with session.post(url, data=body) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StartError(f"{url} does not answer: {error}.") from error
        if status == HTTPStatus.ACCEPTED:
            return
        if status != HTTPStatus.SERVICE_UNAVAILABLE or attempt == _TRIES:
            raise StartError(f"{url} answered {status} to the events of the demo.")
        await asyncio.sleep(attempt)


def demo_events(count: int, now: datetime, seed: int) -> Iterator[Event]:
    """The events in the order of their times, the last one a moment ago."""
    chance = random.Random(seed)  # noqa: S311 - imagined events, no secrets
    kinds = msgspec.json.decode(files(__package__).joinpath("demo.json").read_bytes(), type=list[Kind])
    deployed, visitors = now - _DEPLOYED, deque[Person](maxlen=4)
    for at in _times(chance, count, now):
        is_new = at > deployed
        weights = [kind.weight if is_new else kind.before for kind in kinds]
        kind = chance.choices(kinds, weights)[0]
        # A visit has several events: mostly it is one of the last visitors who does something again.
        if not visitors or chance.random() < _NEW_VISITORS:
            visitors.append(chance.choice(_PEOPLE))
        # After a deployment most machines run the new version.
        old, new = _VERSIONS[kind.program]
        version = new if is_new and chance.random() < _UPDATED else old
        yield _event(chance, kind, at, version, chance.choice(visitors))


def _times(chance: random.Random, count: int, now: datetime) -> list[datetime]:
    """More by day than by night, and most right after the deployment."""
    begin, peak = now - _SPAN, (_SPAN - _DEPLOYED) / _SPAN
    found: list[datetime] = []
    while len(found) < count:
        part = chance.random()
        at = begin + _SPAN * part
        by_day = 0.55 + 0.45 * math.sin((at.hour + at.minute / 60 - 9) / 24 * 2 * math.pi)
        after = 1.6 * math.exp(-(part - peak) * 9) if part > peak else 0.0
        if chance.random() * 2.6 < by_day + after:
            found.append(at)
    return sorted(found)


def _event(chance: random.Random, kind: Kind, at: datetime, version: str, person: Person) -> Event:
    order = chance.randrange(100_480_000, 100_489_999)
    words = {"order": str(order), "sku": f"0049-{chance.choice(('AX', 'BT', 'KM'))}-{order % 97}"}
    event: Event = _filled(kind.event, words)
    event["date"] = at.astimezone(UTC).isoformat()
    data = event.setdefault("data", {})
    data["@version"] = version
    if kind.program in _OF_PEOPLE:
        name, address, agent, country = person
        data["@user"] = {"identity": address, "name": name}
        data["@location"] = {"country": country}
        request = data.setdefault("@request", {})
        request |= {
            "http_method": request.get("http_method", "GET"),
            "is_secure": True,
            "host": "shop.example",
            "port": 443,
            "path": request.get("path", "/cart"),
            "user_agent": agent,
            "client_ip_address": f"203.0.113.{order % 250 + 1}",
            "headers": {"Accept-Language": "en", "X-Request-Id": [f"req-{order:x}"]},
        }
    if kind.program in _MACHINES:
        data["@environment"] = {
            "machine_name": chance.choice(_MACHINES[kind.program]),
            "o_s_name": "Linux",
            "o_s_version": "6.12",
            "architecture": "x64",
            "processor_count": 8,
            "total_physical_memory": 16_777_216_000,
            "available_physical_memory": chance.randrange(2_000_000_000, 9_000_000_000),
            "process_name": kind.program,
            "runtime_version": _RUNTIMES[kind.program],
        }
    return event


def _filled(value: Any, words: dict[str, str]) -> Any:
    """The template with its `{order}` and `{sku}` filled in."""
    if isinstance(value, str):
        for name, word in words.items():
            value = value.replace(f"{{{name}}}", word)
        return value
    if isinstance(value, dict):
        return {name: _filled(inner, words) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, words) for inner in value]
    return value


_FIREFOX: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
_CHROME: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
_ANDROID: Final = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile"
    " Safari/537.36"
)
_IPHONE: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.6 Mobile/15E148 Safari/604.1"
)
_NAMES: Final = (
    ("Kasia Wójcik", "PL"),
    ("Jonas Weber", "DE"),
    ("Amélie Laurent", "FR"),
    ("Noor Haddad", "JO"),
    ("Liam O'Brien", "IE"),
    ("Sofia Rossi", "IT"),
    ("Hiroshi Tanaka", "JP"),
    ("Emma Larsson", "SE"),
    ("Diego Fernández", "ES"),
    ("Yara Silva", "BR"),
    ("Chen Wei", "SG"),
    ("Olena Koval", "UA"),
)
_PEOPLE: Final = tuple(
    (
        name,
        f"{name.split()[0].lower()}.{number}@customer.example".encode("ascii", "ignore").decode(),
        (_FIREFOX, _CHROME, _ANDROID, _IPHONE)[(number + position) % 4],
        country,
    )
    for position, (name, country) in enumerate(_NAMES)
    for number in range(1, 16)
)
_OF_PEOPLE: Final = frozenset({"web", "checkout"})
_VERSIONS: Final = {
    "web": ("4.17.2", "4.18.0"),
    "checkout": ("4.17.2", "4.18.0"),
    "stock": ("2.9.4", "2.9.4"),
    "payments": ("1.31.0", "1.31.0"),
    "mailer": ("0.8.12", "0.9.0"),
}
_MACHINES: Final = {
    "checkout": ("shop-web-01", "shop-web-02", "shop-web-03"),
    "stock": ("stock-a", "stock-b"),
    "payments": ("pay-1",),
    "mailer": ("jobs-1", "jobs-2"),
}
_RUNTIMES: Final = {"checkout": ".NET 10.0.1", "stock": "21.0.9", "payments": "3.13.9", "mailer": "8.4.14"}
