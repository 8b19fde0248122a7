"""What operators can do with organizations while an api runs."""

from datetime import datetime, timedelta

import pytest

from collector.admin import organizations
from collector.database.owners.projection import load_projection
from collector.database.writing.usage import UsageKey, add_usage
from collector.domain.access.projection import OrganizationEntry
from collector.domain.errors import BadRequest, NotFound
from collector.domain.event.outcome import Outcome
from tests.api.running_api import EMAIL, OTHER_ORGANIZATION, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration


async def test_a_new_organization_belongs_to_its_owner_immediately(api: RunningApi) -> None:
    """Also for the login that the owner already has."""
    made = await organizations.create(api.parts, "New one", EMAIL)

    listed = await api.get("/api/v2/organizations", api.people.user)
    assert {found["id"] for found in listed.json} == {made.id, ORGANIZATION.hex}


async def test_an_owner_is_optional_but_must_exist(api: RunningApi) -> None:
    """The owner must not have another organization of that name."""
    made = await organizations.create(api.parts, "Acme", None)

    assert made.id in {found.id for found in await organizations.list_all(api.parts)}
    with pytest.raises(NotFound):
        await organizations.create(api.parts, "Acme", "nobody@example.com")
    with pytest.raises(BadRequest, match="already exists"):
        await organizations.create(api.parts, "Acme", EMAIL)


async def test_a_suspended_organization_is_refused_everywhere_until_it_is_enabled(api: RunningApi) -> None:
    """Ingest refuses it by the time the command returns."""
    suspended = await organizations.change(api.parts, ORGANIZATION.hex, is_suspended=True)
    refused = await api.get("/api/v2/projects", api.people.program)
    ingest_errors = await api.parts.projection.find_organization(ORGANIZATION.bytes)
    enabled = await organizations.change(api.parts, ORGANIZATION.hex, is_suspended=False)

    assert (suspended.is_suspended, enabled.is_suspended) == (True, False)
    assert refused.status == 401
    assert ingest_errors.entry is not None
    assert ingest_errors.entry.is_suspended
    assert (await api.get("/api/v2/projects", api.people.program)).status == 200
    ingest_errors = await api.parts.projection.find_organization(ORGANIZATION.bytes)
    assert ingest_errors.entry is not None
    assert not ingest_errors.entry.is_suspended


async def test_an_organization_is_over_its_limit_once_that_many_events_are_stored_this_month(
    api: RunningApi,
) -> None:
    """Ingest knows immediately when the limit is set, and by the next sweep when it is reached."""
    now = real_now()
    await add_stored(api, 5, now)
    await add_stored(api, 100, now - timedelta(days=32))

    below = await organizations.limit(api.parts, ORGANIZATION.hex, events_a_month=6)
    reached = await organizations.limit(api.parts, ORGANIZATION.hex, events_a_month=5)
    ingest_errors = await api.parts.projection.find_organization(ORGANIZATION.bytes)
    swept = (await load_projection(api.pool)).organizations
    unlimited = await organizations.limit(api.parts, ORGANIZATION.hex, events_a_month=0)

    assert (below.max_events_per_month, below.is_over_monthly_limit) == (6, False)
    assert (reached.max_events_per_month, reached.is_over_monthly_limit) == (5, True)
    assert ingest_errors.entry == OrganizationEntry(is_over_limit=True)
    assert swept == {
        ORGANIZATION.bytes: OrganizationEntry(is_over_limit=True),
        OTHER_ORGANIZATION.bytes: OrganizationEntry(),
    }
    assert (unlimited.max_events_per_month, unlimited.is_over_monthly_limit) == (-1, False)


async def add_stored(api: RunningApi, events: int, moment: datetime) -> None:
    """Count events as a worker does once they are stored, and discarded ones, which do not count here."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    async with api.pool.acquire() as connection:
        await add_usage(
            connection,
            {
                UsageKey(PROJECT, hour, Outcome.STORED): events,
                UsageKey(PROJECT, hour, Outcome.DISCARDED, "too_old"): 1000,
                UsageKey(OTHER_PROJECT, hour, Outcome.STORED): 1000,
            },
        )


async def test_a_deleted_organization_is_gone_with_its_tokens(api: RunningApi) -> None:
    """Tokens of other organizations stay."""
    shown = await organizations.show(api.parts, ORGANIZATION.hex)
    deleted = await organizations.delete(api.parts, ORGANIZATION.hex)

    assert deleted == shown
    assert shown.project_count == 1
    assert [found.id for found in await organizations.list_all(api.parts)] == [OTHER_ORGANIZATION.hex]
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401
    assert (await api.get("/api/v2/projects", api.people.other_program)).status == 200
