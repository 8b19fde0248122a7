"""The load: applications that post, people who search, a client with a bad token; how many, and when.

An event that cannot be read within a bounded time counts as a failure, and any failure makes locust exit
with 1. It reads HEADRACE_CLIENT_TOKEN, HEADRACE_USER_TOKEN and the HEADRACE_LOAD_* variables that
loadtests/README.md lists, and imports nothing of this repository, so that any locust can run it.
"""

import gzip
import json
import os
import random
import time
import uuid
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser, LoadTestShape, constant, constant_throughput, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from locust.stats import StatsEntry

CLIENT_TOKEN: Final = os.environ.get("HEADRACE_CLIENT_TOKEN", "")
USER_TOKEN: Final = os.environ.get("HEADRACE_USER_TOKEN", "")
TASKS_PER_SECOND: Final = float(os.environ.get("HEADRACE_LOAD_RATE", "10"))
BATCH_SIZE: Final = int(os.environ.get("HEADRACE_LOAD_BATCH_SIZE", "50"))
MAX_WAIT_SECONDS: Final = float(os.environ.get("HEADRACE_LOAD_MAX_WAIT_SECONDS", "30"))
REPORT_FILE: Final = os.environ.get("HEADRACE_LOAD_REPORT_FILE", "")
SHAPE: Final = os.environ.get("HEADRACE_LOAD_SHAPE", "steady")
LIMIT_P99_MS: Final = float(os.environ.get("HEADRACE_LOAD_LIMIT_P99_MS", "500"))
STEP_SECONDS: Final = float(os.environ.get("HEADRACE_LOAD_STEP_SECONDS", "10"))

SINGLE: Final = "POST one event"
BATCH: Final = f"POST {BATCH_SIZE} events"
PACKED: Final = f"POST {BATCH_SIZE} events, gzip"
ERROR: Final = "POST one error"
LOOK_UP: Final = "GET by-ref"
SEARCH: Final = "GET search"
BAD_TOKEN: Final = "POST with a bad token"  # noqa: S105 - a name
FOUND: Final = "posted event is found"
EVENTS_EACH: Final = {SINGLE: 1, ERROR: 1, BATCH: BATCH_SIZE, PACKED: BATCH_SIZE}

ACCEPTED: Final = 202
OK: Final = 200
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
TOO_MANY: Final = 429
FIRST_POLL_SECONDS: Final = 0.02
LONGEST_POLL_SECONDS: Final = 1.0
REMEMBERED_REFERENCES: Final = 5
"""How many of its latest references a user keeps, to read them back when it ends."""
MOST_CPU_PERCENT: Final = 90
"""Above it the senders themselves are the limit."""

refused: list[str] = []
"""Why the run was stopped, if a token was refused; the first one counts."""
steps: list[dict[str, float]] = []
"""The steps of the shape `limit`."""
stopped: list[str] = []
"""Why it stopped."""


class MissingEventError(Exception):
    """An event that was answered 202 could not be read in time."""


class Client(FastHttpUser):
    """What all have in common: they post, and look for what was posted."""

    abstract = True
    wait_time = constant_throughput(TASKS_PER_SECOND) if TASKS_PER_SECOND > 0 else constant(0)

    def on_start(self) -> None:
        """Start with nothing posted."""
        self.posted: deque[str] = deque(maxlen=REMEMBERED_REFERENCES)

    def on_stop(self) -> None:
        """Look for the last posts, including batches."""
        while self.posted and not refused:
            self.find_latest()

    def post(self, name: str, body: object, reference_id: str, *, packs: bool = False) -> None:
        """Post `body`; anything but an empty 202 is a failure."""
        content = json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {CLIENT_TOKEN}", "Content-Type": "application/json"}
        if packs:
            content, headers = gzip.compress(content, 6), headers | {"Content-Encoding": "gzip"}
        with self.client.post(
            "/api/v2/events",
            data=content,  # type: ignore[arg-type] # it takes bytes, too
            headers=headers,
            name=name,
            catch_response=True,
        ) as response:
            if response.status_code != ACCEPTED or response.text:
                response.failure(f"answered {response.status_code}: {(response.text or '')[:200]}")
                self.stop_if_refused(response.status_code, "HEADRACE_CLIENT_TOKEN", "post")
                return
        self.posted.append(reference_id)

    def get(self, path: str, name: str) -> Any:
        """The answer's JSON; None if it failed."""
        with self.client.get(
            path, headers={"Authorization": f"Bearer {USER_TOKEN}"}, name=name, catch_response=True
        ) as response:
            if response.status_code == OK:
                return json.loads(response.text or "[]")
            response.failure(f"answered {response.status_code}: {(response.text or '')[:200]}")
            self.stop_if_refused(response.status_code, "HEADRACE_USER_TOKEN", "read")
            return None

    def stop_if_refused(self, status: int, variable: str, purpose: str) -> None:
        """Stop the whole run at the first refused token: all further answers would be the same."""
        if status in {UNAUTHORIZED, FORBIDDEN} and not refused:
            reason = f"answered {status}: is {variable} a token that may {purpose} at {self.host}?"
            refused.append(reason)
            stop_run(self.environment, reason)

    def find_latest(self) -> None:
        """Poll for the latest post's event until it is found or time is up, and report how long it took."""
        if not self.posted:  # its post was refused
            return
        reference_id = self.posted.pop()
        began = time.monotonic()
        pause = FIRST_POLL_SECONDS
        while not (is_found := self.is_found(reference_id)) and time.monotonic() < began + MAX_WAIT_SECONDS:
            if refused:
                return
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
        found = self.get(f"/api/v2/events/by-ref/{reference_id}", LOOK_UP) or []
        if len(found) > 1:
            self.environment.events.request.fire(
                request_type="READ",
                name=LOOK_UP,
                response_time=0,
                response_length=0,
                exception=MissingEventError(f"{len(found)} events have the reference id {reference_id}"),
                context={},
            )
        return bool(found)


class Page(Client):
    """A page in a browser: one event at a time, and now and then a look for the one just posted."""

    weight = 10

    @task(16)
    def post_one(self) -> None:
        """Post a single event as a JSON object."""
        event = an_event()
        self.post(SINGLE, event, event["reference_id"])

    @task(1)
    def post_and_find(self) -> None:
        """Post a single event and look for it immediately, to time how soon after its 202 it can be read."""
        self.post_one()
        self.find_latest()


class Service(Client):
    """A service: a batch at a time, half of them gzipped, as the clients for .NET do it."""

    weight = 3

    @task(1)
    def post_batch(self) -> None:
        """Post a JSON array; any of its events may be the one that is read back."""
        batch = [an_event() for _ in range(BATCH_SIZE)]
        self.post(BATCH, batch, random.choice(batch)["reference_id"])

    @task(1)
    def post_packed_batch(self) -> None:
        """The same, compressed."""
        batch = [an_event() for _ in range(BATCH_SIZE)]
        self.post(PACKED, batch, random.choice(batch)["reference_id"], packs=True)


class FailingApp(Client):
    """An application that sends its errors, with the trace."""

    weight = 3

    @task
    def post_error(self) -> None:
        """Post an error of one of some fifty places in the code."""
        error = an_error()
        self.post(ERROR, error, error["reference_id"])


class Person(Client):
    """Somebody at the web app: lists, searches and counts, one every other second."""

    weight = 2
    wait_time = constant_throughput(min(TASKS_PER_SECOND or 0.5, 0.5))
    searches: ClassVar = (
        "/api/v2/events?limit=50",
        "/api/v2/events?filter=type:error&time=last%2024%20hours&limit=50",
        "/api/v2/events?filter=tag:red%20value:%3E500&time=last%2024%20hours",
        "/api/v2/stacks?filter=status:open&limit=50",
        "/api/v2/events/count?time=last%2024%20hours&aggregations=date:date~1h",
    )

    @task
    def search(self) -> None:
        """One of the searches."""
        self.get(random.choice(self.searches), SEARCH)


class BadClient(Client):
    """A client whose token does not exist: it must be refused, and must not disturb the others."""

    weight = 1
    wait_time = constant_throughput(min(TASKS_PER_SECOND or 2, 2))

    @task
    def post_with_bad_token(self) -> None:
        """Only a 401 is right."""
        headers = {"Authorization": f"Bearer {uuid.uuid4().hex}", "Content-Type": "text/plain"}
        with self.client.post(
            "/api/v2/events", data="x", headers=headers, name=BAD_TOKEN, catch_response=True
        ) as response:
            # 429: too many of them from one address, which is a refusal, too.
            if response.status_code in {UNAUTHORIZED, TOO_MANY}:
                response.success()
            else:
                response.failure(f"a token that does not exist was answered {response.status_code}")


class Shape(LoadTestShape):
    """How the number of users changes over the run; HEADRACE_LOAD_SHAPE chooses one of the classes."""

    abstract = True
    use_common_options = True

    @property
    def users(self) -> int:
        """The most users, as given by `--users`."""
        return int(self._options.num_users or 20)

    @property
    def seconds(self) -> float:
        """How long the run has lasted."""
        return float(self.get_run_time())  # type: ignore[no-untyped-call]

    @property
    def share(self) -> float:
        """How much of the run is over, from 0 to 1; more if it is to end."""
        return self.seconds / float(self._options.run_time or 60)

    @property
    def _options(self) -> Any:
        assert self.runner is not None  # noqa: S101 - locust sets it before the first tick
        return self.runner.environment.parsed_options


class Ramp(Shape):
    """From a tenth of the users to all of them, in ten steps."""

    abstract = SHAPE != "ramp"

    def tick(self) -> tuple[int, float] | None:
        """The users now."""
        step = int(self.share * 10) + 1
        return None if self.share >= 1 else (max(1, self.users * step // 10), self.users)


class Burst(Shape):
    """A tenth of the users, and four times all of them for a tenth of the run."""

    abstract = SHAPE != "burst"
    quiet_share = 0.6

    def tick(self) -> tuple[int, float] | None:
        """The users now."""
        if self.share >= 1:
            return None
        is_burst = self.share * 4 % 1 >= self.quiet_share
        return (self.users if is_burst else max(1, self.users // 10)), self.users


class Soak(Shape):
    """All users after a slow start; for hours, to see whether anything grows."""

    abstract = SHAPE != "soak"

    def tick(self) -> tuple[int, float] | None:
        """The users now."""
        return None if self.share >= 1 else (self.users, max(0.2, self.users / 60))


class Limit(Shape):
    """A tenth of the users more with every step, until the p99, a refusal or the senders say stop."""

    abstract = SHAPE != "limit"

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._began = 0.0
        self._step = 0
        self._before: dict[str, tuple[int, int, Counter[float]]] = {}

    def tick(self) -> tuple[int, float] | None:
        """The users now. A step begins once the users of the former one have been judged."""
        now = self.seconds
        if self._step == 0 or now - self._began >= STEP_SECONDS:
            if self._step and self._judge(now - self._began):
                return None
            self._step += 1
            self._began = now
            self._before = self._counts()
        return max(1, self.users * self._step // 10), self.users

    def _counts(self) -> dict[str, tuple[int, int, Counter[float]]]:
        assert self.runner is not None  # noqa: S101 - as above
        return {
            entry.name: (entry.num_requests, entry.num_failures, Counter(entry.response_times))
            for entry in self.runner.environment.stats.entries.values()
        }

    def _judge(self, seconds: float) -> bool:
        """Note how the step went; whether it was the last one."""
        assert self.runner is not None  # noqa: S101 - as above
        after = self._counts()
        nothing: tuple[int, int, Counter[float]] = (0, 0, Counter())
        posts = failed = counted = 0
        times: Counter[float] = Counter()
        for name, (requests, failures, response_times) in after.items():
            had = self._before.get(name, nothing)
            failed += failures - had[1]
            if each := EVENTS_EACH.get(name):
                posts += requests - had[0]
                counted += (requests - had[0] - failures + had[1]) * each
                times += response_times - had[2]
        p99 = _percentile(times, 0.99)
        cpu = max(
            [self.runner.current_cpu_usage]
            + [client.cpu_usage for client in getattr(self.runner, "clients", {}).values()]
        )
        steps.append(
            {
                "users": max(1, self.users * self._step // 10),
                "posts_per_second": posts / seconds,
                "events_per_second": counted / seconds,
                "p99_ms": p99,
                "failed": failed,
                "cpu_percent": cpu,
            }
        )
        if failed:
            stopped.append(f"{failed} requests failed")
        elif p99 > LIMIT_P99_MS:
            stopped.append(f"the p99 of posts was {p99:.0f} ms")
        elif cpu > MOST_CPU_PERCENT:
            stopped.append("the senders' own processor is the limit: use more of them (--processes)")
        return bool(stopped)


def _percentile(times: Counter[float], share: float) -> float:
    """The time that this share of the requests stayed within; 0 if there were none."""
    left = times.total() * (1 - share)
    for each in sorted(times, reverse=True):
        left -= times[each]
        if left < 0:
            return each
    return 0.0


def stop_run(environment: Environment, reason: str) -> None:
    """End the run in this process, or in all of them."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        runner.send_message("refused", {"reason": reason})
    elif runner is not None:
        # In a greenlet of its own: the caller is one of the users that it waits for.
        gevent.spawn(runner.quit)


def listen_to_workers(environment: Environment, **_: object) -> None:
    """A distributed run ends when a worker's token is refused."""
    if not isinstance(environment.runner, MasterRunner):
        return

    def stop(environment: Environment, msg: Any, **_: object) -> None:
        if not refused:
            refused.append(str(msg.data["reason"]))
            stop_run(environment, refused[0])

    environment.runner.register_message("refused", stop)


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


def an_error() -> dict[str, Any]:
    """An error as an application sends it: type, message, 20 frames, what was asked for."""
    place = random.randrange(50)
    frames = [
        {
            "file_name": f"src/shop/module{(place + depth) % 17}.py",
            "line_number": 10 + depth * 7 + place,
            "declaring_type": f"Shop.Module{(place + depth) % 17}",
            "name": f"step_{place}_{depth}",
        }
        for depth in range(20)
    ]
    return an_event() | {
        "type": "error",
        "data": {
            "@error": {"type": f"Shop.Failure{place}", "message": "It did not work.", "stack_trace": frames},
            "@request": {
                "http_method": "GET",
                "host": "shop.example",
                "path": f"/orders/{random.randrange(1_000)}",
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
            },
        },
    }


def require_tokens(**_: object) -> None:
    """Stop unless both tokens are set."""
    if not (CLIENT_TOKEN and USER_TOKEN):
        raise SystemExit("Set HEADRACE_CLIENT_TOKEN (to post with) and HEADRACE_USER_TOKEN (to read with).")


def write_report(environment: Environment, **_: object) -> None:
    """Write the figures as JSON to HEADRACE_LOAD_REPORT_FILE, if that is set."""
    if not REPORT_FILE or isinstance(environment.runner, WorkerRunner):
        return
    total = environment.stats.total
    report = {
        "seconds": (total.last_request_timestamp or total.start_time) - total.start_time,
        "requests": [_request_figures(entry) for entry in environment.stats.entries.values()],
        "errors": [f"{e.name}: {e.error} ({e.occurrences} times)" for e in environment.stats.errors.values()],
        "refused": refused[0] if refused else "",
        "steps": steps,
        "stopped": stopped[0] if stopped else "",
    }
    Path(REPORT_FILE).write_text(json.dumps(report), encoding="utf-8")


def _request_figures(entry: StatsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "events_each": EVENTS_EACH.get(entry.name, 0),
        "count": entry.num_requests,
        "failures": entry.num_failures,
        "p50_ms": entry.get_response_time_percentile(0.50),
        "p95_ms": entry.get_response_time_percentile(0.95),
        "p99_ms": entry.get_response_time_percentile(0.99),
        "max_ms": entry.max_response_time,
    }


events.init.add_listener(require_tokens)  # type: ignore[no-untyped-call] # locust leaves it untyped
events.init.add_listener(listen_to_workers)  # type: ignore[no-untyped-call]
events.quitting.add_listener(write_report)  # type: ignore[no-untyped-call]
