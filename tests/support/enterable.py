"""Temporary directories that other accounts may enter."""

import tempfile
from pathlib import Path


def make_enterable(directory: Path) -> None:
    """Let others enter the directory and those above it that pytest has made for this run."""
    for made in (directory, *directory.parents):
        if made == Path(tempfile.gettempdir()):
            return
        made.chmod(0o711)  # owned by us, below the system's temporary directory
