"""The command lines of `headrace user`, `organization`, `project` and the others."""
