"""An api on a real port, its servers, and the people and programs who use it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from aiohttp import ClientSession, ClientTimeout
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import CollectorRegistry

from collector.api.app import add_api
from collector.api.core.service import Api, open_api
from collector.api.settings import ApiSettings
from collector.broker.connection import connect
from collector.broker.counters.login_counters import LoginCounters
from collector.broker.counters.request_counters import RequestCounters
from collector.broker.keys import RedisKeys
from collector.broker.queue.queue_look import QueueLook
from collector.broker.token_projection import TokenProjection
from collector.database.owners.organizations import add_member, add_organization
from collector.database.owners.projects import add_project
from collector.database.owners.tokens import access_token, add_token, login_token
from collector.database.owners.users import User, add_user
from collector.database.writing.store import BatchStore
from collector.domain.access.password import hash_password
from collector.domain.access.token import new_token
from collector.domain.event.outcome import Event, NormalizedBatch
from collector.domain.ids import PostIds
from collector.http.health import add_health
from collector.http.server import Address, application, listen
from collector.http.throttle import Throttle
from collector.process.clock import Clock
from collector.process.metrics import ProcessMetrics
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, normalized
from tests.support.documented import check_answer
from tests.support.real_clock import real_now

OTHER_ORGANIZATION = UUID("01a00000-0000-7000-8000-00000000000b")
PASSWORD = "correct horse"
EMAIL = "me@example.com"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class People:
    """The users of the api. All except `stranger` belong to the organization that owns the project."""

    user: str
    """A login token of a person with the role user."""
    admin: str
    """A login token of a person with the role global."""
    stranger: str
    """A login token of a person of the other organization."""
    client: str
    """A program's token that may only post."""
    program: str
    """A program's token that may also read."""
    other_program: str
    """A program's token of the other organization."""


class RunningApi:
    """The running api, and requests to it."""

    def __init__(self, api: Api, session: ClientSession, port: int, people: People) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.parts = api
        self.pool: asyncpg.Pool = api.pool
        self.people = people
        self._session = session

    async def get(self, path: str, token: str | None = None, **options: Any) -> Answer:
        """GET with a bearer token."""
        return await self.request("GET", path, token, **options)

    async def post(self, path: str, token: str | None = None, body: Any = None, **options: Any) -> Answer:
        """POST a value as JSON, or bytes unchanged."""
        if body is not None:
            content = body if isinstance(body, bytes) else orjson.dumps(body)
            headers = CIMultiDict(options.pop("headers", {}))
            headers.setdefault("Content-Type", "application/json")
            options |= {"data": BytesIO(content), "headers": headers}
        return await self.request("POST", path, token, **options)

    async def request(self, method: str, path: str, token: str | None = None, **options: Any) -> Answer:
        """Any request; with `only_head` the body, which may not end, is left unread."""
        only_head = options.pop("only_head", False)
        headers = CIMultiDict(options.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        async with self._session.request(method, self.url + path, headers=headers, **options) as response:
            answer = Answer(
                response.status, response.headers, b"" if only_head and response.ok else await response.read()
            )
        content_type = answer.headers.get("Content-Type", "")
        check_answer(method, path, answer.status, content_type, answer.body)
        return answer

    async def store(self, *events: Event) -> None:
        """Store events as a worker does."""
        await BatchStore(self.pool).save([normalized(*events)])

    async def save(self, batch: NormalizedBatch) -> None:
        """Store a normalized post batch."""
        await BatchStore(self.pool).save([batch])

    async def start_over(self) -> None:
        """Restore the initial organizations and projects, with new people and tokens."""
        await self.pool.execute("TRUNCATE organizations, users CASCADE")
        self.people = await _settle(self.pool)

    async def known_to_ingest(self, token: str) -> bool:
        """Whether ingest would accept the token."""
        return (await self.parts.projection.find_token(token[:24])).entry is not None


@asynccontextmanager
async def running_api(
    database_url: str,
    redis_url: str,
    key_prefix: str,
    *,
    projection_url: str | None = None,
    clock: Clock | None = None,
    **more_settings: Any,
) -> AsyncIterator[RunningApi]:
    """Run an api on a free port. It finds Redis at `projection_url` once it has started."""
    settings = ApiSettings(
        database_url=database_url,
        redis_url=redis_url,
        redis_key_prefix=key_prefix,
        retention_days=45,
        **more_settings,
    )
    registry = CollectorRegistry()
    async with (
        open_api(settings, ProcessMetrics(registry)) as opened,
        ClientSession(timeout=ClientTimeout(total=30)) as session,
    ):
        elsewhere = connect(projection_url or redis_url, socket_timeout_seconds=1)
        api, people = opened, await _settle(opened.pool)
        if clock is not None:
            counters = RequestCounters(elsewhere, RedisKeys(key_prefix))
            api = replace(api, clock=clock, throttle=Throttle(counters, settings.request_limit, clock))
        if projection_url is not None:
            keys = RedisKeys(key_prefix)
            api = replace(
                api,
                projection=TokenProjection(elsewhere, keys),
                queue_look=QueueLook(elsewhere, keys),
                login_counters=LoginCounters(elsewhere, keys),
            )
        app = application()
        add_api(app, api)
        add_health(app, api.checks, registry)
        listener = await listen(app, Address("127.0.0.1", 0))
        yield RunningApi(api, session, listener.port, people)
        await listener.close()
        await elsewhere.aclose()


async def add_login(pool: asyncpg.Pool, organization_id: UUID, email: str, *roles: str) -> str:
    """Add a person who is logged in; return the token."""
    token = new_token()
    async with pool.acquire() as connection:
        user_id = UUID(bytes=PostIds().next(1))
        await add_user(
            connection, User(user_id, email, "Somebody", roles, is_active=True, password_hash=_hash())
        )
        await add_member(connection, organization_id, user_id)
        await add_token(connection, login_token(token, user_id, real_now()))
    return token


async def add_program(
    pool: asyncpg.Pool, organization_id: UUID, project_id: UUID, *scopes: str, **members: Any
) -> str:
    """Add a program's token and return it."""
    token = new_token()
    owner = {"organization_id": organization_id, "project_id": project_id} | members
    async with pool.acquire() as connection:
        await add_token(connection, access_token(token, scopes, real_now(), **owner))
    return token


async def _settle(pool: asyncpg.Pool) -> People:
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Acme")
        await add_organization(connection, OTHER_ORGANIZATION, "Umbrella")
        await add_project(connection, PROJECT, ORGANIZATION, "Shop")
        await add_project(connection, OTHER_PROJECT, OTHER_ORGANIZATION, "Lab")
    return People(
        user=await add_login(pool, ORGANIZATION, EMAIL, "user", "client"),
        admin=await add_login(pool, ORGANIZATION, "admin@example.com", "global", "user", "client"),
        stranger=await add_login(pool, OTHER_ORGANIZATION, "stranger@example.com", "user", "client"),
        client=await add_program(pool, ORGANIZATION, PROJECT, "client"),
        program=await add_program(pool, ORGANIZATION, PROJECT, "user", "client"),
        other_program=await add_program(pool, OTHER_ORGANIZATION, OTHER_PROJECT, "user", "client"),
    )


@cache
def _hash() -> str:
    """Hashing is slow on purpose, so it is done once per run."""
    return hash_password(PASSWORD)
