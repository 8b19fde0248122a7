"""Events and stacks: lists, counts, look-ups, changes."""
