"""What ids in paths must look like; a path with anything else in their place is no route (404)."""

from typing import Final

PROJECT: Final = r"{project_id:[a-zA-Z0-9]{24,36}}"
EVENT: Final = r"{event_id:[a-zA-Z0-9]{24,36}}"
REFERENCE: Final = r"{reference_id:[a-zA-Z0-9-]{8,100}}"
TYPE: Final = r"{type:[^/]+}"
