"""Logs have one line per fact, and never a secret."""

import io
import json
import logging

import pytest
import structlog

from collector.process.logging import configure_logging, masked
from collector.process.settings import Settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /x?access_token=SeCrEt123&a=1", "GET /x?access_token=***&a=1"),
        ("api_key=abc apikey=def", "api_key=*** apikey=***"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("Basic Y2xpZW50OnNlY3JldA==", "Basic ***"),
        ("redis://user:pw@host/0", "redis://user:***@host/0"),
        ("DELETE /api/v2/tokens/" + "a" * 40, "DELETE /api/v2/tokens/" + "a" * 24 + "***"),
        (f"/api/v2/Tokens/{'a' * 40} 404", f"/api/v2/Tokens/{'a' * 24}*** 404"),
        (f"/tokens/{'a' * 24},{'b' * 40},{'c' * 40}", f"/tokens/{'a' * 24},{'b' * 24}***,{'c' * 24}***"),
        (f"/tokens/{'a' * 24}?x={'b' * 40}", f"/tokens/{'a' * 24}?x={'b' * 40}"),
        ("a token is fine", "a token is fine"),
    ],
)
def test_secrets_are_masked_in_any_text(text: str, expected: str) -> None:
    """Query strings, headers, URLs and token paths."""
    assert masked(text) == expected


def test_lines_are_json_with_the_process_and_without_secrets() -> None:
    """Ours and the libraries' lines alike."""
    output = io.StringIO()
    configure_logging(Settings(log_format="json"), "ingest", output)

    structlog.get_logger().info("refused", path="/x?access_token=secret1234", posts=3)
    logging.getLogger("library").warning("redis://:secret1234@host failed")

    ours, theirs = (json.loads(line) for line in output.getvalue().splitlines())
    assert ours["event"] == "refused"
    assert ours["process"] == theirs["process"] == "ingest"
    assert ours["posts"] == 3
    assert theirs["level"] == "warning"
    assert "secret1234" not in output.getvalue()
