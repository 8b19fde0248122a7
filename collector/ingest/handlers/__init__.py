"""One module for each kind of request that ingest accepts."""
