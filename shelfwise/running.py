"""What runs in a shop's folder: one process at a time for what must not run twice, and what became of the one before.

    SHOP/running/NAME    held (flock) by the process for as long as it lives; says who it is, what it does and how much
                         memory it has used at most. Empty once it has ended by itself.

A process that the system kills for want of memory can say nothing: its file, which nobody holds any more, says it to
the next.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import IO

from shelfwise.errors import Busy, ShopError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: nothing is held there, so nothing is refused
    fcntl = None

RUNNING = "running"  # folder of the shop
TRAINING = "training"
WORKER = "worker-"  # and the process's number
_EVERY = 5.0  # seconds between two notes


@dataclass(frozen=True, kw_only=True, slots=True)
class Killed:
    """A process that ended without a word. memory: bytes, the most it had used."""

    name: str
    process: int
    started: datetime
    doing: str
    memory: int

    def __str__(self) -> str:
        what = "the training" if self.name == TRAINING else "a server's process"
        return (
            f"{what} begun {self.started:%Y-%m-%d %H:%M} UTC (process {self.process}) was killed"
            + (f" at {self.doing!r}" if self.doing else "")
            + f", with {self.memory / 2**30:.1f} GiB of memory in use. Most often the system kills for want of memory: "
            + (
                "train when nothing else runs, set a smaller width in shelfwise.toml, or give "
                "the machine more. What was finished of it is gone on from"
                if self.name == TRAINING
                else "serve with fewer --workers, or give the machine more"
            )
        )


class Running:
    """What a process that holds its file notes there."""

    def __init__(self, name: str, file: IO[str]) -> None:
        self._name, self._file = name, file
        self._started = datetime.now(UTC)
        self._noted = 0.0
        self.note("")

    def note(self, doing: str) -> None:
        """Say what is done now; written every few seconds at most. A full disk is no reason to stop."""
        if time.monotonic() - self._noted < _EVERY and self._noted:
            return
        self._noted = time.monotonic()
        line = {"name": self._name, "process": os.getpid(), "started": self._started.isoformat(), "doing": doing}
        with suppress(OSError):
            self._file.seek(0)
            self._file.write(json.dumps({**line, "memory": _most_memory()}) + "\n")
            self._file.truncate()
            self._file.flush()

    def ended(self) -> None:
        with suppress(OSError):
            self._file.seek(0)
            self._file.truncate()


@contextmanager
def alone(shop: Path, name: str) -> Iterator[tuple[Running, Killed | None]]:
    """Hold SHOP/running/NAME; with what the process before left, if it was killed. Raises Busy while another holds
    it, ShopError where the folder cannot be written."""
    path = shop / RUNNING / name
    try:
        path.parent.mkdir(exist_ok=True)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+", encoding="utf-8")
    except OSError as error:
        raise ShopError(f"{path} cannot be written ({error.strerror}); check the disk and the permissions") from None
    with file:
        if not _taken(file):
            other = _read(path)
            who = f" (process {other.process}, since {other.started:%Y-%m-%d %H:%M} UTC)" if other else ""
            raise Busy(f"another {name} of this shop runs already{who}; wait until it has ended, or end it")
        before = _read(path)
        running = Running(name, file)
        try:
            yield running, before
        finally:
            running.ended()
            if name.startswith(WORKER):
                path.unlink(missing_ok=True)


def killed(shop: Path, *, forget: bool = False) -> list[Killed]:
    """Processes of this shop that were killed, oldest first. forget: servers' are told once."""
    gone = []
    for path in sorted((shop / RUNNING).glob("*")):
        with suppress(OSError), path.open("r+", encoding="utf-8") as file:
            if not _take(file):
                continue
            left = _read(path)
            if left is not None:
                gone.append(left)
            if forget and path.name.startswith(WORKER):
                path.unlink()
    return sorted(gone, key=lambda one: one.started)


def _taken(file: IO[str]) -> bool:
    for _ in range(4):
        if _take(file):
            return True
        time.sleep(0.05)  # `killed` may be looking
    return False


def _take(file: IO[str]) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # On a file system without locks nothing can be refused.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _read(path: Path) -> Killed | None:
    try:
        left = json.loads(path.read_text("utf-8"))
        return Killed(
            name=str(left["name"]),
            process=int(left["process"]),
            started=datetime.fromisoformat(left["started"]).astimezone(UTC),
            doing=str(left["doing"]),
            memory=int(left["memory"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _most_memory() -> int:
    """Bytes of memory this process has used at most; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
