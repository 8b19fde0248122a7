"""Real Valkey and Postgres from wheels, and the whole product run as children of one process."""
