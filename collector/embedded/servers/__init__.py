"""The embedded Valkey and Postgres: programs, ports, credentials and the OS user they run as."""
