"""Which connections are served: up to a limit, half of it for one IP, and a reserve for health checks.

Under pressure the connections that have been idle longest are closed for new ones. A connection beyond the
limits waits for its first request: a health check is answered, everything else is refused. So a client that
opens all the connections it can neither keeps others out nor makes this process look dead.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from heapq import nsmallest
from typing import Final, Protocol

from collector.http.client_address import TrustedProxies, counted_peer

HEALTH_CONNECTIONS: Final = 64
"""Connections beyond the limit that may ask for the health; the oldest silent one is closed for another."""
HEALTH_CONNECTIONS_PER_IP: Final = 8
HEALTH_REQUEST_SECONDS: Final = 2.0
"""How long such a connection may take to send its request."""

_IDLE_SECONDS: Final = 1.0
"""A connection that was opened or used within this time is not idle: its next request may be on its way."""
_CLOSED_TOGETHER: Final = 100
"""One in this many of all connections is closed when a place is needed, so that looking for them is rare."""
_LOOK_AGAIN_SECONDS: Final = 0.1


class Connection(Protocol):
    """A connection that may be idle, and may be closed then."""

    def idle_since(self) -> float | None:
        """Since when it has been idle by the loop's clock; None while it has a request."""
        ...

    def force_close(self) -> None: ...  # noqa: D102


class ConnectionLimits:
    """The open connections of a listener, at most `total` and half of that for one IP.

    `on_refused` is called when all are in use, not when one IP has its half.
    """

    def __init__(self, total: int, proxies: TrustedProxies, on_refused: Callable[[], None]) -> None:
        self._total = total
        self._per_ip = max(1, total // 2)
        self._proxies = proxies
        self._on_refused = on_refused
        self._open: dict[Connection, str] = {}
        self._ips: Counter[str] = Counter()
        self._for_health: dict[Connection, str] = {}
        self._health_ips: Counter[str] = Counter()
        self._looks_again: dict[bool, float] = {}
        """When to look for idle connections again after there were none: of one IP, or of all."""

    def add(self, connection: Connection, peer: str) -> bool:
        """Count a new connection if it may be served."""
        ip = counted_peer(peer, self._proxies)
        # Room is made by closing idle connections: any, or those of an IP that has its share.
        if len(self._open) >= self._total:
            self._close_idle()
            if len(self._open) >= self._total:
                self._on_refused()
                return False
        if ip and self._ips[ip] >= self._per_ip:
            self._close_idle(ip)
            if self._ips[ip] >= self._per_ip:
                return False
        self._open[connection] = ip
        self._ips[ip] += 1
        return True

    def add_for_health(self, connection: Connection, peer: str) -> bool:
        """Count a connection that is only served if it asks for the health."""
        ip = counted_peer(peer, self._proxies)
        if ip and self._health_ips[ip] >= HEALTH_CONNECTIONS_PER_IP:
            return False
        if len(self._for_health) >= HEALTH_CONNECTIONS:
            oldest = next(iter(self._for_health))
            self.remove(oldest)
            oldest.force_close()
        self._for_health[connection] = ip
        self._health_ips[ip] += 1
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed, or was not served."""
        for connections, ips in ((self._open, self._ips), (self._for_health, self._health_ips)):
            ip = connections.pop(connection, None)
            if ip is not None:
                ips[ip] -= 1
                if not ips[ip]:
                    del ips[ip]

    def _close_idle(self, ip: str | None = None) -> None:
        """Close those that have been idle longest, of one IP or of all."""
        now, of_one = asyncio.get_running_loop().time(), ip is not None
        if now < self._looks_again.get(of_one, now):
            return
        idle = [
            (since, number, connection)
            for number, (connection, owner) in enumerate(self._open.items())
            if ip in {None, owner}
            and (since := connection.idle_since()) is not None
            and since <= now - _IDLE_SECONDS
        ]
        closed = nsmallest(max(1, self._total // _CLOSED_TOGETHER), idle)
        for _, _, connection in closed:
            self.remove(connection)
            connection.force_close()
        if not closed:
            self._looks_again[of_one] = now + _LOOK_AGAIN_SECONDS
