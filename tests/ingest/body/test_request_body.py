"""The worker can read whatever ingest accepts."""

import pytest

from collector.domain.event.outcome import DeadLetterReason
from collector.domain.intake.decompress import UnstorablePost, decompress
from collector.ingest.body.request_body import ENCODINGS


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_accepted_encoding_can_be_decompressed(encoding: str) -> None:
    """Otherwise a 202 would end in a dead letter."""
    try:
        decompress(b"\0", encoding, 10)
    except UnstorablePost as problem:
        assert problem.reason is DeadLetterReason.CORRUPT_ENCODING  # noqa: PT017 - the other reason is the fault
