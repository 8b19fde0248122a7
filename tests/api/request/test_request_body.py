"""Bodies of management requests that arrive incompletely."""

import asyncio

import pytest

from tests.api.running_api import RunningApi
from tests.support.waiting import until

pytestmark = pytest.mark.integration


async def test_a_client_that_disconnects_during_a_body_is_not_our_error(api: RunningApi) -> None:
    """It counts as a bad request in the metrics, not as a 500 with a traceback."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
    head = "POST /api/v2/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f'{head}Content-Length: 100\r\n\r\n{{"email":'.encode())
    await writer.drain()
    writer.close()

    async def is_counted() -> bool:
        return b"headrace_api_requests_total{" in (await api.get("/metrics")).body

    await until(is_counted, what="the request is counted")
    metrics = (await api.get("/metrics")).body
    assert b'headrace_api_requests_total{status="400"} 1.0' in metrics
    assert b'status="500"' not in metrics
