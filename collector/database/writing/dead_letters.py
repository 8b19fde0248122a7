"""Dead letters: data that can never be stored, kept with its bytes and the reason."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from collector.database.text import storable
from collector.domain.event.outcome import DeadLetter

_DETAIL_LENGTH: Final = 1000
"""In characters. Postgres may quote the whole row in its error, and the body has that already."""


async def keep_dead_letters(connection: asyncpg.Connection, letters: Sequence[DeadLetter]) -> None:
    """Insert dead letters; one that exists already is left as it is."""
    if not letters:
        return
    await connection.executemany(
        """
        INSERT INTO dead_letters (id, project_id, organization_id, reason, detail, body, content_type,
                                  content_encoding, user_agent, client_ip, accepted_utc)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (id) DO NOTHING
        """,
        [
            (
                letter.id,
                letter.project_id,
                letter.organization_id,
                letter.reason,
                storable(letter.detail[:_DETAIL_LENGTH]),
                letter.body,
                storable(letter.content_type),
                storable(letter.content_encoding),
                storable(letter.user_agent),
                storable(letter.client_ip),
                letter.accepted_utc,
            )
            for letter in sorted(letters, key=lambda letter: letter.id)
        ],
    )
