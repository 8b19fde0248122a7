"""Ingest for an organization that has reached its monthly limit of events."""

from dataclasses import replace

import pytest

from collector.domain.access.projection import OrganizationEntry
from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import RunningIngest, running_ingest
from tests.support.factories import ORGANIZATION
from tests.support.waiting import until

pytestmark = pytest.mark.integration


async def test_posts_are_402_and_everything_else_works(redis_url: str, key_prefix: str) -> None:
    """Including the settings, which clients follow. Nothing of a refused post is queued."""
    full = a_projection()
    full = replace(
        full, organizations=full.organizations | {ORGANIZATION: OrganizationEntry(is_over_limit=True)}
    )
    async with running_ingest(redis_url, key_prefix, full) as ingest:
        posted = await ingest.post()
        submitted = await ingest.request("GET", "/api/v2/events/submit?message=hi")
        settings = await ingest.request("GET", "/api/v2/projects/config")

        assert [posted.status, submitted.status, settings.status] == [402, 402, 200]
        assert (await posted.json())["title"] == "The organization has reached its monthly event limit."
        assert await ingest.queued() == []


async def test_a_cached_sender_is_refused_as_soon_as_ingest_knows(
    any_ingest: RunningIngest,
) -> None:
    """The fast path accepts only senders whose state has not changed."""
    assert [(await any_ingest.post()).status for _ in range(3)] == [202, 202, 202]
    await any_ingest.projection.put_organization(ORGANIZATION, OrganizationEntry(is_over_limit=True))

    async def refused() -> bool:
        return (await any_ingest.post()).status == 402

    await until(refused)
    await any_ingest.projection.put_organization(ORGANIZATION, OrganizationEntry())

    async def taken() -> bool:
        return (await any_ingest.post()).status == 202

    await until(taken)
