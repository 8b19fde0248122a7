"""Patterns for the parameters in paths; a path with anything else does not match a route (404)."""

from typing import Final

PROJECT: Final = r"{projectId:[a-zA-Z0-9]{24,36}}"
ID: Final = r"{id:[a-zA-Z0-9]{24,36}}"
REFERENCE: Final = r"{referenceId:[a-zA-Z0-9-]{8,100}}"
TYPE: Final = r"{type:[^/]+}"
