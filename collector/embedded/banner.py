"""The text that `headrace up` prints once it is ready: its commands work when they are pasted as they are.

zsh runs pasted comments as commands, so no comment contains a quote, a bracket or a wildcard.
"""

import os
import secrets
from pathlib import Path

from collector.embedded.ready_file import ReadyFile


def banner(ready: ReadyFile, directory: Path, seconds: float) -> str:
    """The address, a command that posts an event, one that reads it, the login, the data, and how to stop."""
    reference_id = f"hello-{secrets.token_hex(4)}"
    return f"""
Headrace is ready at {ready.url} after {seconds:.1f} s

# Post an event:
curl -i {ready.url}/api/v2/events \\
  -H 'Authorization: Bearer {ready.client_token}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"type": "log", "message": "Hello, Headrace", "reference_id": "{reference_id}"}}'

# Read it back by its reference id, as soon as the worker has stored it:
for n in 1 2 3 4 5 6 7 8 9; do
  EVENT=$(curl -sS -m 5 {ready.url}/api/v2/events/by-ref/{reference_id} \\
    -H 'Authorization: Bearer {ready.user_token}') || break
  case $EVENT in '[{{'*) break;; esac; sleep 1
done; printf '%s\\n' "$EVENT"

# Log in:  {ready.email}  {ready.password or "with the password that you set"}
# Data, credentials and logs:  {directory}
# Stop:  Ctrl-C, or kill {os.getpid()}
"""
