"""GET /api/v2/organizations: the identity's own, each with an unlimited plan (contract 6, 10 row 8)."""

from typing import Any, Final

from aiohttp import web

from collector.api.authentication import IDENTITY
from collector.api.parameters import parameters_of
from collector.api.route import Role, Route
from collector.api.service import API
from collector.database.organizations import Organization, list_organizations
from collector.database.pool import connected
from collector.http.responses import json_response

_UNSUPPORTED: Final = ("filter", "mode")
_ACTIVE: Final = 1
_UNLIMITED: Final = -1


async def get_organizations(request: web.Request) -> web.Response:
    """All of them in one array, without paging."""
    api, identity = request.app[API], request[IDENTITY]
    parameters_of(request, unsupported=_UNSUPPORTED)
    async with connected(api.pool) as connection:
        found = await list_organizations(connection, identity.organization_ids)
    retention_days = api.settings.retention_days
    return json_response([organization_view(organization, retention_days) for organization in found])


def organization_view(organization: Organization, retention_days: int) -> dict[str, Any]:
    """An organization as the clients of the official server know it; there are no plans and no bills here."""
    return {
        "id": organization.id.hex,
        "created_utc": organization.created_utc,
        "updated_utc": organization.updated_utc,
        "name": organization.name,
        "plan_id": "EX_UNLIMITED",
        "plan_name": "Unlimited",
        "plan_description": "Unlimited",
        "billing_status": _ACTIVE,
        "billing_price": 0,
        "max_events_per_month": _UNLIMITED,
        "bonus_events_per_month": 0,
        "retention_days": retention_days,
        "is_suspended": organization.is_suspended,
        "has_premium_features": True,
        "features": [],
        "max_users": _UNLIMITED,
        "max_projects": _UNLIMITED,
        "project_count": 0,
        "stack_count": 0,
        "event_count": 0,
        "invites": [],
        "usage_hours": [],
        "usage": [],
        "is_throttled": False,
        "is_over_monthly_limit": False,
        "is_over_request_limit": False,
    }


ROUTES: Final = (Route("GET", "/organizations", get_organizations, Role.USER),)
