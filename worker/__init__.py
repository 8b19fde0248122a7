"""From the stream to Postgres."""
