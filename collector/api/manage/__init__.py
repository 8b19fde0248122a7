"""Organizations, projects, members, tokens and their settings."""
