"""Heartbeats of sessions, kept until a worker has applied them to the session (contract 3.8).

There is one value for each session key, however often it beats, within a share of the queue's memory. A
project may use as much of the share as is left free: a client that invents keys can neither fill the queue
nor exclude other projects. A beat without a session, whose first event is still in the stream, is kept for
`KEPT_MS` and offered again after `AGAIN_MS`, then at twice its age each time.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from collector.broker.errors import translated
from collector.broker.keys import RedisKeys
from collector.domain.event.session_key import digest_of_key
from collector.domain.session.session import Beat

KEPT_MS: Final = 2 * 3_600_000
AGAIN_MS: Final = 60_000
BYTES_EACH: Final = 200
"""Upper bound on the memory of one session key, over all Redis keys that hold it."""
_MEMORY_SHARE: Final = 0.1
_MOST_KEPT: Final = 1_000_000
"""The limit on session keys if the queue's memory has none."""

_ID_LENGTH: Final = 16

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_REMOVE: Final = """
local function remove(key)
  local project = string.sub(key, 1, 16)
  local removed = redis.call('HDEL', KEYS[1], key)
  if removed == 1 and redis.call('HINCRBY', KEYS[3], project, -1) <= 0 then
    redis.call('HDEL', KEYS[3], project)
  end
  redis.call('ZREM', KEYS[2], key)
end
"""

_BEAT: Final = f"""#!lua
{_NOW}
local key, at, limit, kept = ARGV[1], math.min(tonumber(ARGV[2]), now), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = redis.call('HGET', KEYS[1], key)
if not known then
  local project, free = string.sub(key, 1, 16), limit - redis.call('HLEN', KEYS[1])
  if tonumber(redis.call('HGET', KEYS[3], project) or 0) >= free then return 0 end
  redis.call('HINCRBY', KEYS[3], project, 1)
end
local beaten, closed = string.match(known or '0 0', '^(%d+) (%d+)$')
if ARGV[3] == '1' then closed = math.max(closed, at) else beaten = math.max(beaten, at) end
redis.call('HSET', KEYS[1], key, string.format('%.0f %.0f', beaten, closed))
redis.call('ZADD', KEYS[2], 'LT', now, key)
for _, name in ipairs(KEYS) do redis.call('PEXPIRE', name, kept) end
return 1
"""

_DUE: Final = f"""#!lua flags=allow-oom
{_NOW}{_REMOVE}
local keys = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])
local found = {{}}
for _, key in ipairs(keys) do
  local value = redis.call('HGET', KEYS[1], key)
  local beaten, closed = string.match(value or '0 0', '^(%d+) (%d+)$')
  if now - math.max(beaten, closed) >= tonumber(ARGV[2]) then
    remove(key)
  else
    found[#found + 1] = key
    found[#found + 1] = value
  end
end
return found
"""

_SETTLE: Final = f"""#!lua flags=allow-oom
{_NOW}{_REMOVE}
local again, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    if again > 0 then
      local beaten, closed = string.match(ARGV[i + 1], '^(%d+) (%d+)$')
      local last = math.max(beaten, closed)
      local next = math.min(now + math.max(again, now - last), last + kept)
      redis.call('ZADD', KEYS[2], 'XX', next, ARGV[i])
    else
      remove(ARGV[i])
    end
  end
end
return 0
"""


class Heartbeats:
    """Heartbeats in Redis. Raises BrokerUnavailable and, from `beat` only, BrokerFull.

    `memory_bytes` returns the queue's memory limit; 0 if there is none.
    """

    def __init__(self, redis: Redis, keys: RedisKeys, memory_bytes: Callable[[], int] = lambda: 0) -> None:
        self._beat_script = redis.register_script(_BEAT)
        self._due_script = redis.register_script(_DUE)
        self._settle_script = redis.register_script(_SETTLE)
        self._keys = (keys.heartbeats, keys.heartbeats_due, keys.heartbeats_of_projects)
        self._memory_bytes = memory_bytes

    async def beat(self, project_id: bytes, session_key: str, at_ms: int, *, closes: bool) -> bool:
        """Store a beat of a session, by its id or its user's identity; False if there are too many."""
        field = project_id + digest_of_key(session_key)
        most_kept = max_session_keys(self._memory_bytes())
        return bool(await self._run(self._beat_script, field, at_ms, int(closes), most_kept, KEPT_MS))

    async def due(self, limit: int) -> list[Beat]:
        """Up to `limit` beats that are due to be offered; deletes those older than `KEPT_MS`."""
        flat = await self._run(self._due_script, limit, KEPT_MS)
        beats: list[Beat] = []
        for field, value in zip(flat[::2], flat[1::2], strict=True):
            beaten, closed = value.split()
            beats.append(Beat(field[:_ID_LENGTH], field[_ID_LENGTH:], int(beaten), int(closed)))
        return beats

    async def forget(self, beats: Sequence[Beat]) -> None:
        """Delete beats that were applied to their sessions, unless newer ones have arrived since."""
        await self._settle(beats, again_ms=0)

    async def put_off(self, beats: Sequence[Beat]) -> None:
        """Offer beats again later, the older the later; immediately if newer ones have arrived since."""
        await self._settle(beats, again_ms=AGAIN_MS)

    async def _settle(self, beats: Sequence[Beat], again_ms: int) -> None:
        if beats:
            parts = (
                part
                for beat in beats
                for part in (beat.project_id + beat.digest, f"{beat.beaten_ms} {beat.closed_ms}")
            )
            await self._run(self._settle_script, again_ms, KEPT_MS, *parts)

    async def _run(self, script: AsyncScript, *arguments: Any) -> Any:
        with translated():
            return await script(self._keys, arguments)


def max_session_keys(memory_bytes: int) -> int:
    """How many session keys may be stored, given the queue's memory limit (0: none)."""
    return max(1, int(memory_bytes * _MEMORY_SHARE) // BYTES_EACH) if memory_bytes else _MOST_KEPT
