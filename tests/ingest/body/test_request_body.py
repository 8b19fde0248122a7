"""What ingest lets pass, the worker must be able to read."""

import pytest

from collector.domain.event.outcome import DeadLetterReason
from collector.domain.intake.decompress import UnstorablePost, decompress
from collector.ingest.body.request_body import ENCODINGS


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_encoding_that_is_accepted_can_be_unpacked(encoding: str) -> None:
    """Else a 202 would be followed by a dead letter."""
    try:
        decompress(b"\0", encoding, 10)
    except UnstorablePost as problem:
        assert problem.reason is DeadLetterReason.CORRUPT_ENCODING  # noqa: PT017 - the other reason is the fault
