"""Access control: tokens, scopes, credentials, passwords, and the projection that ingest reads."""
