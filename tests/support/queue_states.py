"""A real queue server in each of its possible states; a state ends with its block.

Each takes the client of an operator, whom no state locks out.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis

from collector.embedded.child import Program
from collector.embedded.servers.valkey import Valkey
from tests.support.waiting import until

OPERATOR = "operator"
State = Callable[["Operator"], AbstractAsyncContextManager[None]]


class Operator:
    """Puts a server into its states, as a separate user whose rights do not change."""

    def __init__(self, service: Valkey) -> None:
        address = urlsplit(service.url)
        self.default: Any = Redis.from_url(service.url, socket_timeout=30)
        self.url = f"redis://{OPERATOR}:{address.password}@{address.hostname}:{address.port}/0"
        self.password = str(address.password)
        self.directory = Path(service._data)
        self.redis: Any = Redis.from_url(self.url, socket_timeout=30)

    async def begin(self) -> None:
        """Create the user."""
        await self.default.execute_command(
            "ACL", "SETUSER", OPERATOR, "on", f">{self.password}", "~*", "&*", "+@all"
        )

    async def set(self, **settings: object) -> None:
        """Change the server's configuration."""
        for name, value in settings.items():
            await self.redis.config_set(name.replace("_", "-"), value)

    async def close(self) -> None:
        """Close the connections."""
        await self.default.aclose()
        await self.redis.aclose()


class ClusterNode(Valkey):
    """A node with all of a cluster's slots, once they are assigned."""

    async def prepare(self) -> Program:
        return _configured(await super().prepare(), "cluster-enabled yes")


class SlowlyLoading(Valkey):
    """A server that loads every key slowly."""

    async def prepare(self) -> Program:
        return _configured(await super().prepare(), "key-load-delay 50")

    async def readiness_problem(self, _child: object) -> str | None:
        """Listening is enough."""
        found = await super().readiness_problem(_child)  # type: ignore[arg-type]
        return None if found is not None and "LOADING" in found else found


def _configured(program: Program, line: str) -> Program:
    return Program(
        arguments=program.arguments,
        environ=program.environ,
        log=program.log,
        directory=program.directory,
        os_user=program.os_user,
        stdin=program.stdin + line.encode() + b"\n",
    )


@asynccontextmanager
async def busy(operator: Operator) -> AsyncIterator[None]:
    """A script that does not end."""
    await operator.set(lua_time_limit=10)
    async with Redis.from_url(operator.url, socket_timeout=300) as caller:
        running = asyncio.ensure_future(caller.eval("while true do end", 0))
        await until(lambda: _replies(operator, "BUSY"), what="BUSY")
        try:
            yield
        finally:
            await operator.redis.script_kill()
            await asyncio.wait([running])
            running.exception()


@asynccontextmanager
async def full(operator: Operator) -> AsyncIterator[None]:
    """Over its `maxmemory`."""
    await operator.set(maxmemory=1)
    yield
    await operator.set(maxmemory="512mb")


@asynccontextmanager
async def read_only(operator: Operator) -> AsyncIterator[None]:
    """A replica of a primary that does not exist."""
    await operator.redis.replicaof("127.0.0.1", "1")
    yield
    await operator.redis.replicaof("NO", "ONE")


@asynccontextmanager
async def master_down(operator: Operator) -> AsyncIterator[None]:
    """The same, refusing to serve stale data."""
    await operator.set(replica_serve_stale_data="no")
    async with read_only(operator):
        yield
    await operator.set(replica_serve_stale_data="yes")


@asynccontextmanager
async def no_replicas(operator: Operator) -> AsyncIterator[None]:
    """Fewer replicas than it needs to accept writes."""
    await operator.set(min_replicas_to_write=1)
    yield
    await operator.set(min_replicas_to_write=0)


@asynccontextmanager
async def misconfigured(operator: Operator) -> AsyncIterator[None]:
    """It cannot save its data, and therefore refuses writes."""
    await operator.set(save="3600 1")
    operator.directory.chmod(0o500)
    await operator.redis.bgsave()
    await until(lambda: _replies(operator, "MISCONF"), what="MISCONF")
    yield
    operator.directory.chmod(0o700)
    await operator.redis.bgsave()
    await until(lambda: _writes(operator), what="a save that succeeds")
    await operator.set(save="")


@asynccontextmanager
async def no_scripts(operator: Operator) -> AsyncIterator[None]:
    """An ACL without scripts."""
    async with _forbidden(operator, "-eval", "-evalsha"):
        yield


@asynccontextmanager
async def no_appends(operator: Operator) -> AsyncIterator[None]:
    """An ACL without the commands in a script."""
    async with _forbidden(operator, "-xadd"):
        yield


@asynccontextmanager
async def no_info(operator: Operator) -> AsyncIterator[None]:
    """An ACL without `INFO`."""
    async with _forbidden(operator, "-info"):
        yield


@asynccontextmanager
async def no_config(operator: Operator) -> AsyncIterator[None]:
    """An ACL without `CONFIG`."""
    async with _forbidden(operator, "-config"):
        yield


@asynccontextmanager
async def other_password(operator: Operator) -> AsyncIterator[None]:
    """A different password for new connections."""
    await operator.redis.execute_command("ACL", "SETUSER", "default", "resetpass", ">other")
    await operator.redis.execute_command("CLIENT", "KILL", "USER", "default")
    yield
    await operator.redis.execute_command("ACL", "SETUSER", "default", "resetpass", f">{operator.password}")


@asynccontextmanager
async def no_limit(operator: Operator) -> AsyncIterator[None]:
    """No `maxmemory`."""
    await operator.set(maxmemory=0)
    yield
    await operator.set(maxmemory="512mb")


@asynccontextmanager
async def less_durable(operator: Operator) -> AsyncIterator[None]:
    """Replies before the fsync."""
    await operator.set(appendfsync="everysec")
    yield
    await operator.set(appendfsync="always")


@asynccontextmanager
async def evicting(operator: Operator) -> AsyncIterator[None]:
    """Entries may be evicted."""
    await operator.set(maxmemory_policy="allkeys-lru")
    yield
    await operator.set(maxmemory_policy="noeviction")


@asynccontextmanager
async def cluster_down(operator: Operator) -> AsyncIterator[None]:
    """A node of a cluster whose slots are not assigned."""
    await operator.redis.execute_command("CLUSTER", "DELSLOTSRANGE", 0, 16383)
    await until(lambda: _replies(operator, "CLUSTERDOWN"), what="CLUSTERDOWN")
    yield
    await assign_slots(operator)


async def assign_slots(operator: Operator) -> None:
    """Assign all slots to the node, and wait until it serves them."""
    await operator.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    await until(lambda: _writes(operator), what="a cluster that is up")


@asynccontextmanager
async def _forbidden(operator: Operator, *rules: str) -> AsyncIterator[None]:
    await operator.redis.execute_command("ACL", "SETUSER", "default", *rules)
    yield
    await operator.redis.execute_command("ACL", "SETUSER", "default", "+@all")


async def _replies(operator: Operator, code: str) -> bool:
    """Whether a write is answered with this."""
    try:
        await operator.redis.set("probe", 1)
    except exceptions.ClusterDownError:
        return code == "CLUSTERDOWN"
    except exceptions.ResponseError as error:
        return str(error).startswith(code)
    return False


async def _writes(operator: Operator) -> bool:
    try:
        return bool(await operator.redis.set("probe", 1))
    except exceptions.ResponseError:
        return False
