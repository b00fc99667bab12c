"""Long work as a process of its own: its state lies in the shop's folder, so that every worker of a server sees it.

SHOP/jobs/ID/ holds job.json (what was asked), progress.jsonl (a line each time it got further), outcome.json (how it
ended), exit (the process's own code), output.txt (what it printed), cancelled (somebody asked it to stop) and lock,
held by the process for as long as it lives: whoever cannot take the lock knows that it runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shelfwise.errors import ShelfwiseError
from shelfwise.schema import now
from shelfwise.serve import imports
from shelfwise.settings import PREFIX

JOBS = "jobs"  # folder of the shop
KINDS = ("load", "train")
EVERY = 0.25  # seconds between two lines of progress
ENDED = ("done", "failed", "cancelled")
KEPT = 50  # ended jobs whose folders stay: what the console's lists show of each kind, and some weeks of a usual shop


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """state: running, done, failed, cancelled. done, total: of the newest progress, 0 when unknown; what: its line.
    error: why it failed. result: what it made."""

    id: str
    kind: str
    arguments: Mapping[str, str]
    folder: Path
    started: datetime
    state: str
    done: int = 0
    total: int = 0
    what: str = ""
    error: str = ""
    result: str = ""


class Jobs:
    """The jobs of one shop."""

    def __init__(self, shop: Path) -> None:
        self._shop = shop

    def start(self, kind: str, arguments: Mapping[str, str]) -> Job:
        """Begin at once, in a process of its own that outlives this one.

        A training's arguments are settings that hold for it alone. Of the jobs that have ended all but the newest KEPT
        are forgotten first, with the files that were uploaded for them.
        """
        assert kind in KINDS
        self._prune()
        id = f"{time.time_ns() // 1_000:x}{secrets.token_hex(4)}"
        folder = self._shop / JOBS / id
        folder.mkdir(parents=True)
        description = {"kind": kind, "arguments": dict(arguments), "started": now().isoformat()}
        (folder / "job.json").write_text(json.dumps(description, ensure_ascii=False), "utf-8")
        with (folder / "lock").open("w") as lock, (folder / "output.txt").open("wb") as output:
            fcntl.flock(lock, fcntl.LOCK_EX)  # goes over to the child with the open file
            child = subprocess.Popen(
                [sys.executable, "-m", "shelfwise.serve.jobs", str(self._shop), id],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[lock.fileno()],
                start_new_session=True,
            )
            (folder / "pid").write_text(str(child.pid))
        threading.Thread(target=_await, args=(child, folder), daemon=True).start()
        job = self.get(id)
        assert job is not None
        return job

    def list(self) -> list[Job]:
        """The newest first."""
        folder = self._shop / JOBS
        names = sorted((one.name for one in folder.iterdir()), reverse=True) if folder.is_dir() else []
        return [job for name in names if (job := self.get(name)) is not None]

    def get(self, id: str) -> Job | None:
        if not (id.isascii() and id.isalnum() and len(id) < 40):
            return None
        folder = self._shop / JOBS / id
        description = _read(folder / "job.json")
        if not description:
            return None
        running = _held(folder / "lock")  # asked before the outcome is read: it is written before the lock is let go
        outcome = _read(folder / "outcome.json")
        newest = _newest(folder / "progress.jsonl")
        if outcome:
            state, error = str(outcome["state"]), str(outcome.get("error", ""))
        elif running:
            state, error = "running", ""
        elif (folder / "cancelled").exists():
            state, error = "cancelled", ""
        else:
            state, error = "failed", _why(folder)
        return Job(
            id=id,
            kind=description["kind"],
            arguments=description["arguments"],
            folder=folder,
            started=datetime.fromisoformat(description["started"]).astimezone(UTC),
            state=state,
            done=int(newest.get("done", 0)),
            total=int(newest.get("total", 0)),
            what=str(newest.get("what", "")),
            error=error,
            result=str(outcome.get("result", "")),
        )

    def _prune(self) -> None:
        jobs = self.list()
        old = [job for job in jobs if job.state in ENDED][KEPT:]
        gone = {job.id for job in old}
        needed = {job.arguments.get("file", "") for job in jobs if job.id not in gone}
        for job in old:
            file = job.arguments.get("file", "")
            if file.isalnum() and file not in needed:
                (self._shop / imports.UPLOADS / file).unlink(missing_ok=True)
            shutil.rmtree(job.folder, ignore_errors=True)  # another worker may be doing the same

    def cancel(self, id: str) -> None:
        """Stop it, and whatever it started. What has ended stays as it is."""
        job = self.get(id)
        if job is None or job.state != "running":
            return
        (job.folder / "cancelled").touch()
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = int((job.folder / "pid").read_text())
            os.killpg(pid, signal.SIGTERM)
            for _ in range(40):
                if not _held(job.folder / "lock"):
                    return
                time.sleep(0.05)
            os.killpg(pid, signal.SIGKILL)


def work(shop: Path, id: str) -> None:
    """What the job's own process does."""
    from shelfwise.shop import Shop

    # Asked to stop, unwind: what is half done is rolled back and scratch files go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = shop / JOBS / id
    description = _read(folder / "job.json")
    last = 0.0

    def progress(done: int, total: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY or (total and done >= total) or " done, " in what or ", start " in what:
            last = time.monotonic()
            with (folder / "progress.jsonl").open("a", encoding="utf-8") as lines:
                line = {"time": now().isoformat(), "done": done, "total": total, "what": what}
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")

    outcome: dict[str, str] = {"state": "done"}
    if description["kind"] == "train":  # its arguments are settings that hold for this training alone
        os.environ.update({PREFIX + name.upper(): value for name, value in description["arguments"].items()})
    try:
        with Shop(shop) as opened:
            if description["kind"] == "load":
                imports.run(opened, description["arguments"], folder, progress)
            else:
                outcome["result"] = opened.train(progress)
    except ShelfwiseError as error:
        outcome = {"state": "failed", "error": str(error)}
    written = folder / "outcome.part"
    written.write_text(json.dumps(outcome, ensure_ascii=False), "utf-8")
    written.rename(folder / "outcome.json")


def _await(child: subprocess.Popen[bytes], folder: Path) -> None:
    """So that no zombie stays, and how it ended is known."""
    code = child.wait()
    with suppress(OSError):
        (folder / "exit").write_text(str(code))


def _why(folder: Path) -> str:
    """Why a job left no outcome."""
    with suppress(OSError, ValueError):
        if int((folder / "exit").read_text()) == -signal.SIGKILL:
            return (
                "it was killed; most often the system does so for want of memory: start it again when nothing else "
                "runs, train with baseline_minutes 0 or a smaller width, or give the machine more"
            )
    return f"it ended unexpectedly; {folder / 'output.txt'} may say why"


def _held(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    return fields


def _newest(path: Path) -> dict[str, Any]:
    """The last whole line."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4_096))
            lines = file.read().split(b"\n")[:-1]
        line: dict[str, Any] = json.loads(lines[-1])
    except (FileNotFoundError, IndexError, json.JSONDecodeError):
        return {}
    return line


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2])
