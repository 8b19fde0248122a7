"""Counters of attempts to log in, which expire every quarter hour, and where people logged in lately.

Every attempt counts for its IP; one from an IP where the account has logged in lately does not count for the
account. So strangers can lock an account only for IPs that are new to it. An attempt is counted before its
password is checked, so that concurrent attempts cannot exceed the limit.

Sign-ups and look-ups of addresses are counted as well, until the next full hour (contract 1.4).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from collector.broker.errors import translated
from collector.broker.keys import RedisKeys

ATTEMPTS_PER_ACCOUNT: Final = 5
ATTEMPTS_PER_IP: Final = 15

_WINDOW_SECONDS: Final = 900
_HOUR_SECONDS: Final = 3600
_LATELY_SECONDS: Final = 30 * 86_400
_REFRESHED_SECONDS: Final = 86_400
"""A login moves the time of the one before it from the same IP only if that is older than this."""
_IPS_PER_ACCOUNT: Final = 16
"""The latest ones: some 2 KB for each account."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted, and where. `logged_in` is when the account last logged in from the IP."""

    account: str
    ip: str
    is_denied: bool
    logged_in: float | None
    counts_for_account: bool


class LoginCounters:
    """The counters. Raises BrokerUnavailable, and BrokerFull while Redis is over its `maxmemory`."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def count(self, email_address: str, client_ip: str, now: datetime) -> Attempt:
        """Count one attempt; it is denied if there were too many from the IP or for the account."""
        account, ip = _digest(email_address), self._ip(client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(ip)
                _end_with_window(pipeline, now, ip)
                pipeline.zscore(self._keys.login_ips(account), _digest(client_ip))
                from_ip, _, logged_in = await pipeline.execute()
            if logged_in is not None and logged_in < now.timestamp() - _LATELY_SECONDS:
                logged_in = None
            # An IP over its limit adds no counters of accounts: there would be no end of them.
            if from_ip > ATTEMPTS_PER_IP or logged_in is not None:
                is_denied = from_ip > ATTEMPTS_PER_IP
                return Attempt(account, client_ip, is_denied, logged_in, counts_for_account=False)
            counter = self._account(account)
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(counter)
                _end_with_window(pipeline, now, counter)
                of_account, _ = await pipeline.execute()
        return Attempt(account, client_ip, of_account > ATTEMPTS_PER_ACCOUNT, None, counts_for_account=True)

    async def take_back(self, attempt: Attempt, now: datetime) -> None:
        """Uncount an attempt that revealed nothing about the password."""
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                self._uncount(pipeline, attempt, now)
                await pipeline.execute()

    async def note_login(self, attempt: Attempt, now: datetime) -> None:
        """Uncount an attempt with the right password, and note its IP as one of the account's.

        Other attempts for the account stay counted: they may be a stranger's.
        """
        ips, seconds = self._keys.login_ips(attempt.account), now.timestamp()
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                self._uncount(pipeline, attempt, now)
                if attempt.logged_in is None or attempt.logged_in < seconds - _REFRESHED_SECONDS:
                    pipeline.zadd(ips, {_digest(attempt.ip): seconds})
                    pipeline.zremrangebyrank(ips, 0, -_IPS_PER_ACCOUNT - 1)
                    pipeline.expire(ips, _LATELY_SECONDS)
                await pipeline.execute()

    async def forget_ips(self, email_address: str) -> None:
        """Forget from where an account has logged in, because its password has changed."""
        with translated():
            await self._redis.delete(self._keys.login_ips(_digest(email_address)))

    async def count_in_hour(self, kind: str, client_ip: str, now: datetime) -> int:
        """Count one request of that kind from the IP; returns their number since the full hour."""
        key = self._keys.login_tries(kind, client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(key)
                _end_with_window(pipeline, now, key, window_seconds=_HOUR_SECONDS)
                tries, *_ = await pipeline.execute()
        return int(tries)

    def _uncount(self, pipeline: Pipeline, attempt: Attempt, now: datetime) -> None:
        counters = [self._ip(attempt.ip)]
        if attempt.counts_for_account:
            counters.append(self._account(attempt.account))
        for counter in counters:
            pipeline.decr(counter)
        # If a counter has expired since, DECR makes a new one, which must expire as well.
        _end_with_window(pipeline, now, *counters)

    def _account(self, digest: str) -> str:
        return self._keys.login_tries("address", digest)

    def _ip(self, client_ip: str) -> str:
        return self._keys.login_tries("ip", client_ip)


def _digest(text: str) -> str:
    """Hashes an address, which is private and of any length."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _end_with_window(
    pipeline: Pipeline, now: datetime, *keys: str, window_seconds: int = _WINDOW_SECONDS
) -> None:
    """Set a relative expiry, because Redis's clock may differ from ours."""
    left = window_seconds - int(now.timestamp()) % window_seconds
    for key in keys:
        pipeline.expire(key, left)
