"""Everything kept in Redis, and the only folder with Redis commands."""
