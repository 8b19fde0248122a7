"""Makes JSON text and values acceptable to `jsonb` before they reach Postgres."""
