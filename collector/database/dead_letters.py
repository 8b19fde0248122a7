"""Dead letters: what can never be stored, kept with its bytes and its reason."""

from collections.abc import Sequence

import asyncpg

from collector.domain.outcome import DeadLetter


async def keep_dead_letters(connection: asyncpg.Connection, letters: Sequence[DeadLetter]) -> None:
    """Write dead letters; one that is there already stays as it is."""
    await connection.executemany(
        """
        INSERT INTO dead_letters (id, project_id, organization_id, reason, detail, body, content_type,
                                  content_encoding, user_agent, client_ip, accepted_utc)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (id) DO NOTHING
        """,
        [_row(letter) for letter in sorted(letters, key=lambda letter: letter.id)],
    )


def _row(letter: DeadLetter) -> tuple[object, ...]:
    return (
        letter.id,
        letter.project_id,
        letter.organization_id,
        letter.reason,
        storable(letter.detail),
        letter.body,
        storable(letter.content_type),
        storable(letter.content_encoding),
        storable(letter.user_agent),
        storable(letter.client_ip),
        letter.accepted_utc,
    )


def storable(text: str) -> str:
    """The text without what a Postgres `text` refuses: NUL and lone surrogates become U+FFFD."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
