"""The text that `headrace up` prints once it is ready: its commands work when they are pasted as they are.

zsh runs pasted comments as commands, so no comment contains a quote, a bracket or a wildcard.
"""

import os
import secrets
from pathlib import Path

from collector.embedded.ready_file import ReadyFile


def banner(ready: ReadyFile, directory: Path, seconds: float, login_code: str | None = None) -> str:
    """The address, a link that logs in, commands that post and read an event, the data, and how to stop."""
    reference_id = f"hello-{secrets.token_hex(4)}"
    # After the hash sign: browsers send that part to no server and name it in no referrer.
    link = f"{ready.url}/login#{login_code}" if login_code else ""
    comment = "# See it in a browser. This link logs you in, once and within 15 minutes:"
    return f"""
Headrace is ready at {ready.url} after {seconds:.1f} s
{f"{chr(10)}{comment}  {link}{chr(10)}" if link else ""}
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
