"""The token projection in Redis: written by the API after its commits, and swept by the worker.

Every change is announced on the eviction channel, so that caches evict it immediately. The sweep WATCHes the
hashes from before it reads Postgres until its own write, and retries if another process has written
meanwhile: a token that was revoked during a sweep cannot reappear.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from collector.broker.channel import messages
from collector.broker.errors import translated
from collector.broker.keys import RedisKeys
from collector.domain.access.projection import OrganizationEntry, ProjectEntry, Projection
from collector.domain.access.token import TokenEntry

TOKEN: Final = "token"  # noqa: S105 - the kind of an eviction
PROJECT: Final = "project"
ORGANIZATION: Final = "organization"
EVERYTHING: Final = "everything"

CHANNEL_HEARTBEAT_SECONDS: Final = 0.25
"""How long the eviction channel may be silent before it is pinged."""

FRESH_SECONDS: Final = 120.0
"""While the last sweep is younger than this, a token that the projection lacks does not exist."""

_SWEEP_ATTEMPTS: Final = 5
_SWEPT_KEPT_SECONDS: Final = 86_400
_ANNOUNCED_AT_MOST: Final = 200
"""If a sweep changes more entries, it announces a single eviction of everything instead."""

_encode = msgspec.msgpack.Encoder().encode
_decode_token = msgspec.msgpack.Decoder(TokenEntry).decode
_decode_project = msgspec.msgpack.Decoder(ProjectEntry).decode
_decode_organization = msgspec.msgpack.Decoder(OrganizationEntry).decode

AnyEntry = TypeVar("AnyEntry", bound=msgspec.Struct)


class SweepOvertaken(Exception):  # noqa: N818 - a state of the world
    """The projection kept changing while it was being swept; the next sweep tries again."""


@dataclass(frozen=True, slots=True)
class Lookup(Generic[AnyEntry]):
    """An entry, if found, and the seconds since the last sweep of the projection (None: never swept)."""

    entry: AnyEntry | None
    swept_seconds_ago: float | None


@dataclass(frozen=True, slots=True)
class Eviction:
    """What a cache must evict: the key of one token, project or organization, or everything."""

    kind: str
    key: bytes = b""


class TokenProjection:
    """Reads and writes of the projection. Raises BrokerUnavailable and, from writes, BrokerFull."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys
        self._hashes = {
            TOKEN: keys.tokens,
            PROJECT: keys.projects,
            ORGANIZATION: keys.organizations,
        }

    async def find_token(self, lookup: str) -> Lookup[TokenEntry]:
        """The token whose first 24 characters these are."""
        return await self._find(TOKEN, lookup.encode("utf-8", "surrogatepass"), _decode_token)

    async def find_project(self, project_id: bytes) -> Lookup[ProjectEntry]:
        """The project with this id (16 bytes)."""
        return await self._find(PROJECT, project_id, _decode_project)

    async def find_organization(self, organization_id: bytes) -> Lookup[OrganizationEntry]:
        """The organization with this id (16 bytes)."""
        return await self._find(ORGANIZATION, organization_id, _decode_organization)

    async def swept_seconds_ago(self) -> float | None:
        """Seconds since the last sweep; None if there was none."""
        with translated():
            swept, now = await self._redis.get(self._keys.swept), await self._redis.time()
        return _age(swept, now)

    async def put_token(self, lookup: str, entry: TokenEntry) -> None:
        """Add or replace a token."""
        await self._put(TOKEN, lookup.encode(), entry)

    async def put_project(self, project_id: bytes, entry: ProjectEntry) -> None:
        """Add or replace a project."""
        await self._put(PROJECT, project_id, entry)

    async def put_organization(self, organization_id: bytes, entry: OrganizationEntry) -> None:
        """Add or replace an organization."""
        await self._put(ORGANIZATION, organization_id, entry)

    async def remove_tokens(self, lookups: Sequence[str]) -> None:
        """Revoke tokens everywhere; works also while Redis is over its `maxmemory`."""
        await self._remove(TOKEN, [lookup.encode() for lookup in lookups])

    async def remove_projects(self, project_ids: Sequence[bytes]) -> None:
        """Remove projects; works also while Redis is over its `maxmemory`."""
        await self._remove(PROJECT, project_ids)

    async def remove_organizations(self, organization_ids: Sequence[bytes]) -> None:
        """Remove organizations; works also while Redis is over its `maxmemory`."""
        await self._remove(ORGANIZATION, organization_ids)

    async def sweep(self, load: Callable[[], Awaitable[Projection]]) -> None:
        """Make the projection equal to what `load` reads from Postgres, and mark it fresh.

        Raises SweepOvertaken if the projection changed during each of several attempts.
        """
        for _ in range(_SWEEP_ATTEMPTS):
            try:
                with translated():
                    return await self._sweep_once(load)
            # A change was published meanwhile, which what was read from Postgres may lack.
            except exceptions.WatchError:
                continue
        raise SweepOvertaken

    async def evictions(self) -> AsyncIterator[Eviction | None]:
        """Announced evictions, and None several times a second while the channel is alive.

        Raises BrokerUnavailable when the channel is lost: announcements may have been missed.
        """
        async with aclosing(messages(self._redis, self._keys.evictions, CHANNEL_HEARTBEAT_SECONDS)) as found:
            async for data in found:
                if data is None:
                    yield None
                else:
                    kind, _, key = data.partition(b":")
                    yield Eviction(kind.decode(), key)

    async def _find(self, kind: str, key: bytes, decode: Callable[[bytes], AnyEntry]) -> Lookup[AnyEntry]:
        with translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.execute_command("HGET", self._hashes[kind], key)
                pipeline.get(self._keys.swept)
                pipeline.time()
                packed, swept, now = await pipeline.execute()
        return Lookup(None if packed is None else decode(packed), _age(swept, now))

    async def _put(self, kind: str, key: bytes, entry: msgspec.Struct) -> None:
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.execute_command("HSET", self._hashes[kind], key, _encode(entry))
                self._announce(pipeline, kind, key)
                await pipeline.execute()

    async def _remove(self, kind: str, keys: Sequence[bytes]) -> None:
        if not keys:
            return
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.execute_command("HDEL", self._hashes[kind], *keys)
                # Deleting a missing field does not fail a sweep's WATCH, although the running sweep may be
                # about to add it. Touching a watched key does, and EXPIRE works even while Redis is full.
                pipeline.expire(self._keys.swept, _SWEPT_KEPT_SECONDS)
                for key in keys:
                    self._announce(pipeline, kind, key)
                await pipeline.execute()

    def _announce(self, pipeline: Pipeline, kind: str, key: bytes) -> None:
        pipeline.execute_command("PUBLISH", self._keys.evictions, kind.encode() + b":" + key)

    async def _sweep_once(self, load: Callable[[], Awaitable[Projection]]) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            await pipeline.watch(*self._hashes.values(), self._keys.swept)
            # A watching pipeline runs commands immediately, until MULTI.
            held = {
                kind: dict(await cast("Awaitable[Any]", pipeline.hgetall(name)))
                for kind, name in self._hashes.items()
            }
            projection = await load()
            wanted: dict[str, dict[bytes, bytes]] = {
                TOKEN: {lookup.encode(): _encode(entry) for lookup, entry in projection.tokens.items()},
                PROJECT: {key: _encode(entry) for key, entry in projection.projects.items()},
                ORGANIZATION: {key: _encode(entry) for key, entry in projection.organizations.items()},
            }
            seconds, micros = await pipeline.time()
            pipeline.multi()  # type: ignore[no-untyped-call]
            changed = [key for kind in held for key in self._write(pipeline, kind, held[kind], wanted[kind])]
            # Beyond that, forgetting everything is cheaper than thousands of announcements.
            if len(changed) > _ANNOUNCED_AT_MOST:
                changed = [(EVERYTHING, b"")]
            for kind, key in changed:
                self._announce(pipeline, kind, key)
            pipeline.set(self._keys.swept, seconds * 1000 + micros // 1000)
            await pipeline.execute()

    def _write(
        self, pipeline: Pipeline, kind: str, held: Mapping[bytes, bytes], wanted: Mapping[bytes, bytes]
    ) -> list[tuple[str, bytes]]:
        """Queue the commands that make one hash equal to `wanted`; returns the kinds and keys that change."""
        changed = [key for key, packed in wanted.items() if held.get(key) != packed]
        gone = [key for key in held if key not in wanted]
        for key in changed:
            pipeline.execute_command("HSET", self._hashes[kind], key, wanted[key])
        if gone:
            pipeline.execute_command("HDEL", self._hashes[kind], *gone)
        return [(kind, key) for key in changed + gone]


def is_fresh(swept_seconds_ago: float | None) -> bool:
    """Whether an entry that the projection lacks can be taken not to exist."""
    return swept_seconds_ago is not None and swept_seconds_ago < FRESH_SECONDS


def _age(swept_ms: bytes | str | None, now: tuple[int, int]) -> float | None:
    """Seconds from the time of a sweep to Redis's current time (seconds, microseconds)."""
    return None if swept_ms is None else now[0] + now[1] / 1e6 - int(swept_ms) / 1000
