"""`headrace shards` on a real server, run as a shell does."""

import asyncio
import subprocess
from typing import Any

import msgspec
import pytest

from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from tests.support.factories import a_batch, a_post
from tests.test_cli import headrace

pytestmark = pytest.mark.integration


@pytest.fixture
def environ(redis_url: str, key_prefix: str) -> dict[str, str]:
    """The settings of the queue only: Postgres may not be reachable from here."""
    return {"REDIS_URL": redis_url, "HEADRACE_REDIS_KEY_PREFIX": key_prefix}


async def _run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(headrace, "shards", *arguments, **environ)


async def _said(environ: dict[str, str], *arguments: str) -> Any:
    done = await _run(environ, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return msgspec.json.decode(done.stdout)


async def test_the_number_is_shown_and_changed(
    environ: dict[str, str], redis_url: str, key_prefix: str
) -> None:
    """With every stream that was ever used, for people and for programs."""
    before = await _said(environ)
    changed = await _said(environ, "set", "3")
    redis, keys = connect(redis_url, socket_timeout_seconds=5), RedisKeys(key_prefix)
    await PostStream(redis, keys, Shards(redis, keys)).append(7, a_batch(a_post()))
    await redis.aclose()
    shown = (await _run(environ, "show")).stdout.splitlines()

    assert before == {"shards": None, "streams": []}
    assert changed == {"shards": 3, "streams": []}
    assert shown[0].split() == ["shards", "3"]
    assert shown[-1].split() == ["7", "1", "1", "0"]


@pytest.mark.parametrize("number", ["0", "257", "many"])
async def test_an_invalid_number_of_shards_is_refused(environ: dict[str, str], number: str) -> None:
    """Nothing changes."""
    assert (await _run(environ, "set", number)).returncode == 2
    assert (await _said(environ))["shards"] is None
