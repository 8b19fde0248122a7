"""Heartbeats: signs of life of sessions, kept until a worker has told the session of them (contract 3.8).

One value for each session key, however often it beats, and at most `MOST_KEPT` of them: a client that makes
up keys displaces nobody's. A beat that no session takes, because the session is still in the stream, is kept
for `KEPT_MS` and offered again every `AGAIN_MS`.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import translated
from collector.broker.keys import Keys
from collector.domain.session import Beat
from collector.domain.session_key import digest_of_key

KEPT_MS: Final = 2 * 3_600_000
AGAIN_MS: Final = 60_000
MOST_KEPT: Final = 1_000_000
"""Some 200 MB, were they all there."""

_ID_LENGTH: Final = 16

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_BEAT: Final = f"""#!lua
{_NOW}
local key, at, limit, kept = ARGV[1], math.min(tonumber(ARGV[2]), now), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = redis.call('HGET', KEYS[1], key)
if not known and redis.call('HLEN', KEYS[1]) >= limit then return 0 end
local beaten, closed = string.match(known or '0 0', '^(%d+) (%d+)$')
if ARGV[3] == '1' then closed = math.max(closed, at) else beaten = math.max(beaten, at) end
redis.call('HSET', KEYS[1], key, string.format('%.0f %.0f', beaten, closed))
redis.call('ZADD', KEYS[2], 'LT', now, key)
redis.call('PEXPIRE', KEYS[1], kept)
redis.call('PEXPIRE', KEYS[2], kept)
return 1
"""

_DUE: Final = f"""#!lua flags=allow-oom
{_NOW}
local keys = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])
local found = {{}}
for _, key in ipairs(keys) do
  local value = redis.call('HGET', KEYS[1], key)
  local beaten, closed = string.match(value or '0 0', '^(%d+) (%d+)$')
  if now - math.max(beaten, closed) >= tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[1], key)
    redis.call('ZREM', KEYS[2], key)
  else
    found[#found + 1] = key
    found[#found + 1] = value
  end
end
return found
"""

_SETTLE: Final = f"""#!lua flags=allow-oom
{_NOW}
local again = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    if again > 0 then
      redis.call('ZADD', KEYS[2], 'XX', now + again, ARGV[i])
    else
      redis.call('HDEL', KEYS[1], ARGV[i])
      redis.call('ZREM', KEYS[2], ARGV[i])
    end
  end
end
return 0
"""


class Heartbeats:
    """Heartbeats in Redis. Raises BrokerUnavailable and, from `beat` only, BrokerFull."""

    def __init__(self, redis: Redis, keys: Keys, *, most_kept: int = MOST_KEPT) -> None:
        self._redis = redis
        self._keys = (keys.heartbeats, keys.heartbeats_due)
        self._most_kept = most_kept

    async def beat(self, project_id: bytes, session_key: str, at_ms: int, *, closes: bool) -> bool:
        """Keep a sign of life, by its id or its user's identity; False where there are too many already."""
        field = project_id + digest_of_key(session_key)
        return bool(await self._run(_BEAT, field, at_ms, int(closes), self._most_kept, KEPT_MS))

    async def due(self, limit: int) -> list[Beat]:
        """Up to `limit` beats that have not been offered of late; those that nobody took in time are gone."""
        flat = await self._run(_DUE, limit, KEPT_MS)
        return [_beat(field, value) for field, value in zip(flat[::2], flat[1::2], strict=True)]

    async def forget(self, beats: Sequence[Beat]) -> None:
        """Remove what sessions were told of, for good, except where it has beaten again meanwhile."""
        await self._settle(beats, again_ms=0)

    async def put_off(self, beats: Sequence[Beat]) -> None:
        """Offer these again in a while, or at once where they have beaten meanwhile."""
        await self._settle(beats, again_ms=AGAIN_MS)

    async def _settle(self, beats: Sequence[Beat], again_ms: int) -> None:
        if beats:
            await self._run(_SETTLE, again_ms, *(part for beat in beats for part in _flat(beat)))

    async def _run(self, script: str, *arguments: Any) -> Any:
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        run: Any = self._redis.execute_command
        with translated():
            try:
                return await run("EVALSHA", digest, len(self._keys), *self._keys, *arguments)
            except exceptions.NoScriptError:
                return await run("EVAL", script, len(self._keys), *self._keys, *arguments)


def _flat(beat: Beat) -> tuple[bytes, str]:
    return beat.project_id + beat.digest, f"{beat.beaten_ms} {beat.closed_ms}"


def _beat(field: bytes, value: bytes) -> Beat:
    beaten, closed = value.split()
    return Beat(field[:_ID_LENGTH], field[_ID_LENGTH:], int(beaten), int(closed))
