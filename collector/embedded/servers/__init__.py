"""The embedded Valkey and Postgres."""
