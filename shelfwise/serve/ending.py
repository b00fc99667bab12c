"""Whether the server ends. A worker waits for the answers under way before it does, so whatever is sent for as long as
somebody looks must know: by a file in the folder that the server's processes share."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from shelfwise.serve.metrics import DIRECTORY

_FILE = "ending"


def end(folder: str) -> None:
    """Tell every worker. folder: the one shared while the server runs, which may be gone."""
    with suppress(FileNotFoundError):
        (Path(folder) / _FILE).touch()


def ending() -> bool:
    """Has anybody told so? Never outside a server's worker."""
    folder = os.environ.get(DIRECTORY)
    return folder is not None and (Path(folder) / _FILE).exists()
