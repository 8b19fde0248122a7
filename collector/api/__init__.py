"""The api process: reads events and stacks, manages organizations, projects, users and tokens."""
