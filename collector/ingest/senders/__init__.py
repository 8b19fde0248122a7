"""Who is sending, and whether their posts are accepted now."""
