"""A revoked token is refused by every door process within a second."""

from pathlib import Path

import pytest

from loadtests.fault_plant import running_plant
from loadtests.revocation import PROMISED_SECONDS, revocations

pytestmark = pytest.mark.end_to_end


async def test_every_door_refuses_a_revoked_token_within_a_second(tmp_path: Path) -> None:
    """Three processes, each asked over a connection that is known to be its own, each token used before."""
    async with running_plant(tmp_path, {}) as plant:
        seconds, doors = await revocations(plant, tries=20)

    assert doors == 3
    assert len(seconds) == 20
    assert max(seconds) < PROMISED_SECONDS
