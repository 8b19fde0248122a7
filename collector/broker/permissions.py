"""The Redis commands that each process needs, so that a missing permission is reported at the start.

`INFO` and `CONFIG` are not required: a process without them cannot check the server's durability, which its
readiness reports.
"""

from collections.abc import Sequence
from typing import Final

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerForbidden, BrokerFull, BrokerUnavailable, is_final, translated
from collector.broker.keys import GROUP, LANES, RedisKeys, stream_number

Commands = Sequence[str]
"""Commands with the fewest words that make them valid, including the names of their keys."""

_CHECK: Final = """
local denied = {}
for _, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  local is_known, is_allowed = pcall(redis.acl_check_cmd, unpack(words))
  if is_known and not is_allowed then denied[#denied + 1] = line end
end
return denied
"""
"""Checks the commands without running them; works in any state of the server's data."""


def ingest_commands(keys: RedisKeys) -> Commands:
    """The commands for accepting posts."""
    return (
        f"EVALSHA sha 1 {keys.stream(0)}",
        f"XADD {keys.stream(0)} * field value",
        f"HINCRBY {keys.accepted(0)} posts 1",
        f"XADD {keys.stream(stream_number(LANES - 1, 0))} * field value",
        *_shard_commands(keys),
        *(f"HGET {name} key" for name in (keys.tokens, keys.projects, keys.organizations)),
        f"GET {keys.swept}",
        "TIME",
        f"SUBSCRIBE {keys.evictions}",
    )


def api_commands(keys: RedisKeys) -> Commands:
    """The commands for login and for changes of tokens, projects and organizations."""
    tries, ips = keys.login_tries("ip", "127.0.0.1"), keys.login_ips("account")
    return (
        *(f"HSET {name} key value" for name in (keys.tokens, keys.projects, keys.organizations)),
        *(f"HDEL {name} key" for name in (keys.tokens, keys.projects, keys.organizations)),
        f"PUBLISH {keys.evictions} token:key",
        f"INCR {tries}",
        f"DECR {tries}",
        f"EXPIRE {tries} 900",
        f"SUBSCRIBE {keys.live}",
        f"ZSCORE {ips} member",
        f"ZADD {ips} 1 member",
        f"ZREMRANGEBYRANK {ips} 0 1",
        f"DEL {ips}",
        "MULTI",
        "EXEC",
    )


def worker_commands(keys: RedisKeys) -> Commands:
    """The commands for reading the stream and sweeping the token projection."""
    return (
        f"XREADGROUP GROUP {GROUP} consumer COUNT 1 STREAMS {keys.stream(0)} >",
        f"XAUTOCLAIM {keys.stream(0)} {GROUP} consumer 1 0-0",
        f"XACK {keys.stream(0)} {GROUP} 0-1",
        f"XDEL {keys.stream(0)} 0-1",
        f"HINCRBY {keys.accepted(0)} freed 1",
        f"XDEL {keys.stream(stream_number(LANES - 1, 0))} 0-1",
        *_shard_commands(keys),
        f"HGETALL {keys.tokens}",
        f"WATCH {keys.tokens}",
        f"SET {keys.swept} 1",
        f"PUBLISH {keys.live} stored",
        f"HSET {keys.settings} max_event_age_days 3",
        "TIME",
        *api_commands(keys),
    )


def _shard_commands(keys: RedisKeys) -> Commands:
    """The commands for following the number of shards."""
    return (
        f"HGET {keys.settings} shards",
        f"HSETNX {keys.settings} shards 1",
        f"XGROUP CREATE {keys.stream(0)} {GROUP} 0 MKSTREAM",
        f"XINFO GROUPS {keys.stream(0)}",
        f"XLEN {keys.stream(0)}",
    )


async def denied_commands(redis: Redis, commands: Commands) -> list[str]:
    """The commands that the server denies our user; empty if its state does not allow the check.

    Raises BrokerUnavailable if the user or the password is wrong.
    """
    if not commands:
        return []
    try:
        with translated():
            answer = await redis.eval(_CHECK, 0, *commands)
    except BrokerForbidden:
        return ["EVAL"]
    except (BrokerUnavailable, BrokerFull) as error:
        if isinstance(error, BrokerUnavailable) and is_final(error):
            raise
        return []
    except exceptions.ResponseError:  # a server without `acl_check_cmd`
        return []
    denied = []
    for line in answer:
        # An ACL names commands and keys.
        command, *words = (line.decode() if isinstance(line, bytes) else line).split()
        key = next((word for word in words if "{" in word), "")
        denied.append(f"{command} on {key}" if key else command)
    return denied
