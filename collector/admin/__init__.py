"""What operators do to users, organizations, projects and tokens by the `headrace` command."""
