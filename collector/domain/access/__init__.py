"""Who may do what: tokens, scopes, credentials, passwords, and the projection that ingest reads."""
