"""The api as a whole: outages, metrics, routes."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.api.running_api import EMAIL, PASSWORD, RunningApi
from tests.conftest import Servers
from tests.database.rows import PROJECT

pytestmark = pytest.mark.integration


async def test_while_postgres_is_down_everything_is_503(
    api: RunningApi, servers: Servers, database_url: str
) -> None:
    """With `Retry-After`, never a status on which clients drop events. It recovers without a restart."""
    name = urlsplit(database_url).path.removeprefix("/")
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
    )

    answers = [
        await api.get("/api/v2/projects", api.people.user),
        await api.post(f"/api/v2/projects/{PROJECT.hex}/tokens", api.people.user),
        await api.post("/api/v2/auth/login", body={"email": EMAIL, "password": PASSWORD}),
        await api.get("/health/ready"),
    ]
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await admin.close()

    assert [answer.status for answer in answers] == [503] * 4
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert "Postgres" in answers[3].json["checks"]["database"]
    assert (await api.get("/api/v2/projects", api.people.user)).status == 200
    assert (await api.get("/health/ready")).status == 200


async def test_an_unexpected_error_is_500_without_its_cause(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Problem JSON; the cause is in the log and the metrics."""

    async def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("collector.api.manage.projects.count_projects", broken)

    answer = await api.get("/api/v2/projects", api.people.user)

    assert answer.status == 500
    assert answer.json["status"] == 500
    assert b"secret" not in answer.body
    assert b'headrace_api_requests_total{status="500"} 1.0' in (await api.get("/metrics")).body


async def test_requests_are_measured_by_route_and_status(api: RunningApi) -> None:
    """Never by the client's path: the number of series would be unbounded, and paths can contain secrets."""
    await api.get("/api/v2/events/by-ref/order-4711", api.people.program)
    await api.get("/api/v2/events/by-ref/order-4711")

    metrics = (await api.get("/metrics")).body.decode()

    assert 'headrace_api_requests_total{status="200"} 1.0' in metrics
    assert 'headrace_api_requests_total{status="401"} 1.0' in metrics
    assert 'route="GET /api/v2/events/by-ref/{referenceId}"' in metrics
    assert "order-4711" not in metrics


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/api/v2/nothing", 404, id="an unknown path"),
        pytest.param("PUT", "/api/v2/organizations", 405, id="a method that it does not take"),
        pytest.param("HEAD", "/api/v2/organizations", 200, id="HEAD, as GET"),
    ],
)
async def test_other_paths_and_methods_have_their_status(
    api: RunningApi, method: str, path: str, status: int
) -> None:
    assert (await api.request(method, path, api.people.user)).status == status


async def test_a_post_can_override_its_method(api: RunningApi) -> None:
    """The permission and the metrics are those of the method that it stands for."""
    path, body = f"/api/v2/projects/{PROJECT.hex}", {"name": "Big shop"}
    means_patch = {"X-HTTP-Method-Override": "PATCH"}

    forbidden = await api.post(path, api.people.client, body, headers=means_patch)
    changed = await api.post(path, api.people.user, body, headers=means_patch)
    read = await api.post(path, api.people.user, headers={"X-HTTP-Method-Override": "GET"})
    without = await api.post(path, api.people.user, body)

    assert [answer.status for answer in (forbidden, changed, read, without)] == [403, 200, 200, 405]
    assert forbidden.json["instance"] == f"PATCH {path}"
    assert read.json["name"] == "Big shop"
    metrics = (await api.get("/metrics")).body.decode()
    assert 'request_seconds_count{route="PATCH /api/v2/projects/{id}"} 2.0' in metrics


async def test_characters_with_a_meaning_in_html_are_escaped_in_problems(api: RunningApi) -> None:
    """In quoted values and in the path."""
    filtered = await api.get("/api/v2/events?filter=type:(<script>&'", api.people.user)
    lost = await api.get("/api/v2/<script>'&", api.people.user)

    assert (filtered.status, lost.status) == (400, 404)
    assert lost.json["instance"] == "GET /api/v2/<script>'&"
    for answer in (filtered, lost):
        assert not set(b"<>&'") & set(answer.body)
