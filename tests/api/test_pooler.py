"""The api behind PgBouncer."""

import pytest

from tests.api.running_api import running_api
from tests.support.poolers import a_pooler, needs_pgbouncer

pytestmark = [pytest.mark.integration, needs_pgbouncer]


async def test_a_pooler_switched_to_transactions_is_503_and_named_by_readiness(
    database_url: str, redis_url: str, key_prefix: str
) -> None:
    """Never 500. The api recovers once the pooler keeps sessions again."""
    async with a_pooler(database_url) as pooler:
        await pooler.start("session")
        async with running_api(pooler.url, redis_url, key_prefix) as api:
            assert (await api.get("/api/v2/events", api.people.user)).status == 200

            await pooler.start("transaction")
            statuses = [(await api.get("/api/v2/events", api.people.user)).status for _ in range(12)]
            assert set(statuses) == {503}
            ready = await api.get("/health/ready")
            assert ready.status == 503
            assert "set pool_mode = session there" in ready.json["checks"]["database"]

            await pooler.start("session")
            assert (await api.get("/health/ready")).status == 200
            assert (await api.get("/api/v2/events", api.people.user)).status == 200


async def test_a_pooler_switched_while_connections_are_in_use_is_never_500(
    database_url: str, redis_url: str, key_prefix: str
) -> None:
    """Until the api notices, its answers are right; then they are 503."""
    async with a_pooler(database_url) as pooler:
        await pooler.start("session")
        async with running_api(pooler.url, redis_url, key_prefix) as api:
            paths = ("/api/v2/events", "/api/v2/projects", "/api/v2/organizations", "/api/v2/stacks")
            await pooler.switch("transaction")
            statuses = [(await api.get(path, api.people.user)).status for path in paths * 5]
            assert set(statuses) <= {200, 503}
