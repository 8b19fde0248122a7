"""Posts for benchmarks: events as applications send them, no two equal, the same in every run.

Identical posts would be compressed to nothing in the queue, so names, numbers and reference ids vary.
"""

import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

Event = dict[str, Any]
Maker = Callable[[random.Random, datetime], Event]

_SEED: Final = 20
_PLACES: Final = ("Checkout", "Basket", "Catalogue", "Invoices", "Shipping", "Accounts", "Search", "Returns")
_METHODS: Final = ("Load", "Save", "Validate", "Reserve", "Charge", "Render", "Notify", "Dispatch")
_FRAMES: Final = 20
_BROWSER: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
)


def posts(make: Maker, count: int, size: int, now: datetime) -> list[bytes]:
    """`count` request bodies of `size` events each; a single event is an object, several are an array."""
    random_ = random.Random(_SEED)
    arrays = ([make(random_, now) for _ in range(size)] for _ in range(count))
    return [_json(array if size > 1 else array[0]) for array in arrays]


def a_log(random_: random.Random, now: datetime) -> Event:
    """A plain log event of some 430 bytes, with a reference id."""
    order = random_.randrange(10**8)
    return {
        "type": "log",
        "source": f"Shop.Orders.{random_.choice(_PLACES)}",
        "date": _date(random_, now),
        "message": f"Order {order} was paid after {random_.randrange(5_000)} ms",
        "tags": ["orders", random_.choice(["red", "green", "blue"])],
        "reference_id": f"{random_.getrandbits(128):032x}",
        "value": random_.randrange(100_000) / 100,
        "data": {
            "@level": random_.choice(["Info", "Info", "Debug", "Warn"]),
            "@user": {"identity": f"user-{random_.randrange(10_000)}", "name": "Erika Mustermann"},
            "@version": "4.12.3",
            "@submission_method": "Log",
            "order": {"id": order, "items": random_.randrange(1, 9), "warehouse": random_.choice(_PLACES)},
        },
    }


def a_log_without_user(random_: random.Random, now: datetime) -> Event:
    """The same from a service without users: its events belong to no session."""
    event = a_log(random_, now)
    event["data"]["@service"] = event["data"].pop("@user")
    return event


def an_error(random_: random.Random, now: datetime) -> Event:
    """An error of some 6 kB with 20 frames, the request and the machine."""
    place = random_.choice(_PLACES)
    return {
        "type": "error",
        "date": _date(random_, now),
        "reference_id": f"{random_.getrandbits(128):032x}",
        "tags": ["checkout"],
        "data": {
            "@error": {
                "type": "System.InvalidOperationException",
                "message": f"Order {random_.randrange(10**8)} cannot be {random_.choice(_METHODS).lower()}d.",
                "stack_trace": [_frame(random_, place) for _ in range(_FRAMES)],
            },
            "@request": _request(random_, place),
            "@environment": {
                "processor_count": 8,
                "total_physical_memory": 34_359_738_368,
                "available_physical_memory": random_.randrange(10**10),
                "process_name": "shop",
                "process_id": str(random_.randrange(32_768)),
                "machine_name": f"shop-{random_.randrange(12)}",
                "o_s_name": "Linux",
                "runtime_version": "9.0.1",
            },
            "@user": {"identity": f"user-{random_.randrange(10_000)}"},
            "@version": "4.12.3",
        },
    }


def _frame(random_: random.Random, place: str) -> Event:
    name = random_.choice(_METHODS)
    return {
        "file_name": f"/src/Shop/{place}/{name}Handler.cs",
        "line_number": random_.randrange(1, 900),
        "column": random_.randrange(1, 80),
        "declaring_namespace": f"Shop.{place}",
        "declaring_type": f"{name}Handler",
        "name": f"{name}Async",
        "parameters": [{"name": "order", "type": "Order", "type_namespace": "Shop.Orders"}],
    }


def _request(random_: random.Random, place: str) -> Event:
    return {
        "http_method": "POST",
        "is_secure": True,
        "host": "shop.example",
        "port": 443,
        "path": f"/{place.lower()}/{random_.randrange(10**6)}",
        "client_ip_address": f"198.51.100.{random_.randrange(256)}",
        "user_agent": _BROWSER,
        "query_string": {"step": str(random_.randrange(5))},
        "cookies": {"session": f"{random_.getrandbits(64):016x}"},
    }


def _date(random_: random.Random, now: datetime) -> str:
    return (now - timedelta(milliseconds=random_.randrange(60_000))).isoformat(timespec="milliseconds")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
