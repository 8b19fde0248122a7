"""Bodies of managing requests, from clients that do not send them to the end."""

import asyncio

import pytest

from tests.api.running_api import RunningApi
from tests.support.waiting import until

pytestmark = pytest.mark.integration


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_error_of_ours(api: RunningApi) -> None:
    """A bad request among others in the metrics, not a 500 with a traceback in the log."""
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
