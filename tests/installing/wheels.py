"""Made-up wheels of versions that were never released."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

NEWER = "9999"
"""Higher than every released version."""


def write_wheel(folder: Path, name: str, version: str = NEWER, asks: Sequence[str] = ()) -> str:
    """Write a wheel with these requirements to a folder; return its SHA-256, as in a lock file."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", "Provides-Extra: fast"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in asks]
    files = {
        f"{stem}.dist-info/METADATA": "\n".join(metadata) + "\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_sha256(text.encode())},{len(text)}\n" for path, text in files.items())
    path = folder / f"{stem}-py3-none-any.whl"
    with ZipFile(path, "w") as wheel:
        for name_inside, text in files.items():
            wheel.writestr(name_inside, text)
        wheel.writestr(f"{stem}.dist-info/RECORD", f"{record}{stem}.dist-info/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sha256(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
