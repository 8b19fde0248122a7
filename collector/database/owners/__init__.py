"""Organizations, projects, people and tokens."""
