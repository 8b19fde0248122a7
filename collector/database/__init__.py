"""Everything that is stored in Postgres; the only folder with SQL."""
