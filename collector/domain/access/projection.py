"""The token projection: what ingest reads from Redis about tokens, projects and organizations."""

from dataclasses import dataclass, field

import msgspec

from collector.domain.access.token import TokenEntry


class ProjectEntry(msgspec.Struct, frozen=True, array_like=True):
    """A project: its organization (16 bytes) and its client configuration, whose version only increases."""

    organization_id: bytes
    config_version: int = 1
    settings: dict[str, str] = {}


class OrganizationEntry(msgspec.Struct, frozen=True, array_like=True):
    """An organization; `is_over_limit` means that it has reached its monthly event limit."""

    is_suspended: bool = False
    is_over_limit: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """The whole projection: enabled, unexpired tokens by lookup prefix; the others by id (16 bytes)."""

    tokens: dict[str, TokenEntry] = field(default_factory=dict)
    projects: dict[bytes, ProjectEntry] = field(default_factory=dict)
    organizations: dict[bytes, OrganizationEntry] = field(default_factory=dict)
