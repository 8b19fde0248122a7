"""What events of projects without private information leave out."""

import copy
from typing import Any

import pytest

from collector.domain.event.privacy import remove_private

CLIENT = {"ip_address": "203.0.113.7", "user_agent": "shop", "version": "1.0"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param({"@user": {"identity": "erika"}, "order": 5}, {"order": 5}, id="the user"),
        pytest.param(
            {"@user_description": {"email_address": "a@b.c", "description": "It broke."}},
            {"@user_description": {"description": "It broke."}},
            id="the address of a description",
        ),
        pytest.param(
            {"@user_description": {"email_address": "a@b.c"}}, {}, id="a description with an address only"
        ),
        pytest.param(
            {"@environment": {"ip_address": "10.0.0.1", "machine_name": "erikas-pc", "architecture": "x64"}},
            {"@environment": {"architecture": "x64"}},
            id="the machine's address and name",
        ),
        pytest.param(
            {"_@user": "erika", "__@user1": 5, "_@level": "x"}, {"_@level": "x"}, id="values of other types"
        ),
        pytest.param(
            {"@environment": None, "@user_description": None},
            {"@environment": None, "@user_description": None},
            id="nulls",
        ),
    ],
)
def test_nothing_identifies_the_user(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    """Nor where the event came from."""
    client = copy.deepcopy(CLIENT)
    data = sent | {"@submission_client": client}

    remove_private(data)

    assert data == kept | {"@submission_client": {"user_agent": "shop", "version": "1.0"}}
    assert client == CLIENT, "other events have the same one"
