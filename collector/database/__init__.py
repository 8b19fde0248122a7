"""Everything kept in Postgres, and the only folder with SQL."""
