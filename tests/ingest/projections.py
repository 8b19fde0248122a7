"""The projection of most tests: a project with settings, two others, and the senders."""

from collector.domain.access.projection import OrganizationEntry, ProjectEntry, Projection
from collector.domain.access.token import lookup_prefix
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT, a_token_entry

SISTER_PROJECT, OTHER_PROJECT = b"\x03" * 16, b"\x04" * 16
OTHER_ORGANIZATION, SUSPENDED = b"\x05" * 16, b"\x06" * 16
PERSON = b"\x07" * 16
READER, LOGIN, LOGIN_SUSPENDED = "r" * 40, "l" * 40, "s" * 40
UPLOAD_ONLY, LOST_PROJECT = "u" * 40, "p" * 40
SETTINGS = {"@@DataExclusions": "password, *secret*", "@@log:*": "Info"}


def a_projection() -> Projection:
    """The projection; the settings have version 7."""
    entries = {
        CLIENT_TOKEN: a_token_entry(),
        READER: a_token_entry(READER, scopes=("user", "client")),
        LOGIN: a_token_entry(
            LOGIN, scopes=("user", "client"), project_id=None, is_login=True, user_id=PERSON
        ),
        LOGIN_SUSPENDED: a_token_entry(
            LOGIN_SUSPENDED, organization_ids=(SUSPENDED,), project_id=None, is_login=True
        ),
        UPLOAD_ONLY: a_token_entry(UPLOAD_ONLY, scopes=("source-maps:write",)),
        LOST_PROJECT: a_token_entry(LOST_PROJECT, project_id=b"\x09" * 16),
    }
    return Projection(
        {lookup_prefix(token): entry for token, entry in entries.items()},
        {
            PROJECT: ProjectEntry(ORGANIZATION, config_version=7, settings=SETTINGS),
            SISTER_PROJECT: ProjectEntry(ORGANIZATION),
            OTHER_PROJECT: ProjectEntry(OTHER_ORGANIZATION),
        },
        {
            ORGANIZATION: OrganizationEntry(),
            OTHER_ORGANIZATION: OrganizationEntry(),
            SUSPENDED: OrganizationEntry(is_suspended=True),
        },
    )
