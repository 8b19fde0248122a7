"""What `jsonb` accepts: JSON text and values made storable before Postgres sees them."""
