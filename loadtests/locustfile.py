"""The load: users that post single events and batches, and read some back by their reference id.

An event that cannot be read within a bounded time counts as a failure, and any failure makes locust exit
with 1. It reads HEADRACE_CLIENT_TOKEN, HEADRACE_USER_TOKEN and the HEADRACE_LOAD_* variables that
loadtests/README.md lists, and imports nothing of this repository, so that any locust can run it.
"""

import json
import os
import random
import time
import uuid
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from locust import FastHttpUser, constant, constant_throughput, events, task
from locust.env import Environment
from locust.stats import StatsEntry

CLIENT_TOKEN: Final = os.environ.get("HEADRACE_CLIENT_TOKEN", "")
USER_TOKEN: Final = os.environ.get("HEADRACE_USER_TOKEN", "")
TASKS_PER_SECOND: Final = float(os.environ.get("HEADRACE_LOAD_RATE", "10"))
BATCH_SIZE: Final = int(os.environ.get("HEADRACE_LOAD_BATCH_SIZE", "50"))
MAX_WAIT_SECONDS: Final = float(os.environ.get("HEADRACE_LOAD_MAX_WAIT_SECONDS", "30"))
REPORT_FILE: Final = os.environ.get("HEADRACE_LOAD_REPORT_FILE", "")

SINGLE: Final = "POST one event"
BATCH: Final = f"POST {BATCH_SIZE} events"
LOOK_UP: Final = "GET by-ref"
FOUND: Final = "posted event is found"

ACCEPTED: Final = 202
OK: Final = 200
FIRST_POLL_SECONDS: Final = 0.02
LONGEST_POLL_SECONDS: Final = 1.0
REMEMBERED_REFERENCES: Final = 5
"""How many of its latest references a user keeps, to read them back when it ends."""


class MissingEventError(Exception):
    """An event that was answered 202 could not be read in time."""


class Sender(FastHttpUser):
    """One sender: mostly single events, some batches, and sometimes a search for the event just posted."""

    wait_time = constant_throughput(TASKS_PER_SECOND) if TASKS_PER_SECOND > 0 else constant(0)

    def on_start(self) -> None:
        """Start with nothing posted."""
        self.posted: deque[str] = deque(maxlen=REMEMBERED_REFERENCES)

    @task(16)
    def post_one(self) -> None:
        """Post a single event as a JSON object."""
        event = an_event()
        self.post(SINGLE, event, event["reference_id"])

    @task(2)
    def post_batch(self) -> None:
        """Post a JSON array, as the clients do; any of its events may be the one that is read back."""
        batch = [an_event() for _ in range(BATCH_SIZE)]
        self.post(BATCH, batch, random.choice(batch)["reference_id"])

    @task(1)
    def post_and_find(self) -> None:
        """Post a single event and look for it immediately, to time how soon after its 202 it can be read."""
        self.post_one()
        self.find_latest()

    def on_stop(self) -> None:
        """Look for the last posts, including batches."""
        while self.posted:
            self.find_latest()

    def post(self, name: str, body: object, reference_id: str) -> None:
        """Post `body`; anything but an empty 202 is a failure."""
        with self.client.post(
            "/api/v2/events",
            data=json.dumps(body),
            headers={"Authorization": f"Bearer {CLIENT_TOKEN}", "Content-Type": "application/json"},
            name=name,
            catch_response=True,
        ) as response:
            if response.status_code != ACCEPTED or response.text:
                response.failure(f"answered {response.status_code}: {(response.text or '')[:200]}")
                return
        self.posted.append(reference_id)

    def find_latest(self) -> None:
        """Poll for the latest post's event until it is found or time is up, and report how long it took."""
        if not self.posted:  # its post was refused
            return
        reference_id = self.posted.pop()
        began = time.monotonic()
        pause = FIRST_POLL_SECONDS
        while not (is_found := self.is_found(reference_id)) and time.monotonic() < began + MAX_WAIT_SECONDS:
            time.sleep(pause)  # locust makes this a switch to another user
            pause = min(pause * 2, LONGEST_POLL_SECONDS)
        missing = MissingEventError(f"{reference_id} was answered 202 and cannot be read")
        self.environment.events.request.fire(
            request_type="READ",
            name=FOUND,
            response_time=(time.monotonic() - began) * 1000,
            response_length=0,
            exception=None if is_found else missing,
            context={},
        )

    def is_found(self, reference_id: str) -> bool:
        """Whether an event with this reference id can be read now; two of them are a failure."""
        with self.client.get(
            f"/api/v2/events/by-ref/{reference_id}",
            headers={"Authorization": f"Bearer {USER_TOKEN}"},
            name=LOOK_UP,
            catch_response=True,
        ) as response:
            if response.status_code != OK:
                response.failure(f"answered {response.status_code}: {(response.text or '')[:200]}")
                return False
            found = json.loads(response.text or "[]")
            if len(found) > 1:
                response.failure(f"{len(found)} events have the reference id {reference_id}")
            return bool(found)


def an_event() -> dict[str, Any]:
    """A log event as an application sends it, with a unique reference id."""
    return {
        "type": "log",
        "source": "Loadtest.Orders.Checkout",
        "date": datetime.now(UTC).isoformat(),
        "message": f"Order {random.randrange(10**8)} was paid after {random.randrange(5_000)} ms",
        "tags": ["load", random.choice(["red", "green", "blue"])],
        "reference_id": uuid.uuid4().hex,
        "value": random.randrange(100_000) / 100,
        "data": {
            "@level": "Info",
            "@user": {"identity": f"user-{random.randrange(1_000)}"},
            "cart": {"items": 3},
        },
    }


def require_tokens(**_: object) -> None:
    """Stop unless both tokens are set."""
    if not (CLIENT_TOKEN and USER_TOKEN):
        raise SystemExit("Set HEADRACE_CLIENT_TOKEN (to post with) and HEADRACE_USER_TOKEN (to read with).")


def write_report(environment: Environment, **_: object) -> None:
    """Write the figures as JSON to HEADRACE_LOAD_REPORT_FILE, if that is set."""
    if not REPORT_FILE:
        return
    total = environment.stats.total
    report = {
        "seconds": (total.last_request_timestamp or total.start_time) - total.start_time,
        "requests": [_request_figures(entry) for entry in environment.stats.entries.values()],
        "errors": [f"{e.name}: {e.error} ({e.occurrences} times)" for e in environment.stats.errors.values()],
    }
    Path(REPORT_FILE).write_text(json.dumps(report), encoding="utf-8")


def _request_figures(entry: StatsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "events_each": {SINGLE: 1, BATCH: BATCH_SIZE}.get(entry.name, 0),
        "count": entry.num_requests,
        "failures": entry.num_failures,
        "p50_ms": entry.get_response_time_percentile(0.50),
        "p95_ms": entry.get_response_time_percentile(0.95),
        "p99_ms": entry.get_response_time_percentile(0.99),
        "max_ms": entry.max_response_time,
    }


events.init.add_listener(require_tokens)  # type: ignore[no-untyped-call] # locust leaves it untyped
events.quitting.add_listener(write_report)  # type: ignore[no-untyped-call]
