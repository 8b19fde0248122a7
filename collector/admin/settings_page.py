"""The page docs/settings.md from the settings classes: `python -m collector.admin.settings_page`."""

import sys
from collections.abc import Mapping
from typing import Final

from collector.api.settings import ApiSettings
from collector.embedded.settings import UpSettings
from collector.ingest.settings import IngestSettings
from collector.process.settings import Settings
from collector.process.settings_table import settings_page
from worker.settings import WorkerSettings

KINDS: Final[Mapping[str, type[Settings]]] = {
    "ingest": IngestSettings,
    "api": ApiSettings,
    "worker": WorkerSettings,
    "up": UpSettings,
}
"""The settings of each command; `serve` reads those of ingest and api."""

if __name__ == "__main__":
    sys.stdout.write(settings_page(KINDS))
