"""What a project's settings decide about its events."""
