"""What `headrace up` ends its start with: lines that work when they are pasted as they stand."""

import os
import secrets
from pathlib import Path

from collector.embedded.ready_file import ReadyFile


def welcome(ready: ReadyFile, directory: Path, seconds: float) -> str:
    """The address, a post, a look at it, the login, where the data are, and how to stop."""
    reference_id = f"hello-{secrets.token_hex(4)}"
    password = ready.password or "(the password that you set)"
    return f"""
Headrace is ready at {ready.url} ({seconds:.1f} s)

# Post an event:
curl -i {ready.url}/api/v2/events \\
  -H 'Authorization: Bearer {ready.client_token}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"type": "log", "message": "Hello, Headrace", "reference_id": "{reference_id}"}}'

# Read it back by its reference id, once the worker has stored it:
curl -sS --fail --retry 9 --retry-delay 1 --retry-all-errors \\
  -H 'Authorization: Bearer {ready.user_token}' \\
  {ready.url}/api/v2/events/by-ref/{reference_id}

# Log in:  {ready.email}  {password}
# Data, credentials and logs:  {directory}
# Stop:  Ctrl-C, or kill {os.getpid()}
"""
