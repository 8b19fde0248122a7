"""A revoked token is refused by every ingest process within a second."""

from pathlib import Path

import pytest

from loadtests.fault_run.plant import running_plant
from loadtests.revocation import PROMISED_SECONDS, revocations
from tests.conftest import SCALE

pytestmark = pytest.mark.end_to_end

TRIES = 5 * SCALE


async def test_every_ingest_refuses_a_revoked_token_within_a_second(tmp_path: Path) -> None:
    """Three processes, each over a separate connection, with tokens that were used before."""
    async with running_plant(tmp_path, {}) as plant:
        seconds, ingest_processes = await revocations(plant, tries=TRIES)

    assert ingest_processes == 3
    assert len(seconds) == TRIES
    assert max(seconds) < PROMISED_SECONDS
