"""Backups: a shop's folder copied whole and consistent while it serves, and put back.

    DEST/backup.json      what it is, when, of which version, and the SHA-256 of every file
    DEST/…                the shop's own files: shelfwise.toml, record.db, keys.json, bundles/, reports/

SQLite's record is copied by its online backup (https://sqlite.org/backup.html): one state of the record, all that was
acknowledged before the backup began in it. (A copy of record.db alone lacks what still lies in its write-ahead log.)
Bundles never change once written. What can be made again is left out: cache/, search/, work/, running/, jobs/.
A record in PostgreSQL is that server's to back up (pg_dump); everything else is copied.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shelfwise.errors import BackupError
from shelfwise.settings import FILE, load_settings
from shelfwise.store import check_record, copy_record

FORMAT = "shelfwise-backup"
MANIFEST = "backup.json"
RECORD = "record.db"
POINTER = "bundles/current"
#: Of the shop's folder, what is not copied: made again, or of processes that run now.
LEFT_OUT = frozenset({"cache", "search", "work", "running", "jobs", "uploads"})
_RECORD_FILES = frozenset({RECORD, f"{RECORD}-wal", f"{RECORD}-shm", f"{RECORD}-turn", f"{RECORD}-journal"})

Progress = Callable[[int, int, str], None]


def backup(shop: Path, destination: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Copy the shop in `shop` to `destination`, which must be new or empty; the manifest. All or nothing.

    Raises BackupError (a full disk, a destination that is taken), SettingsError, StoreError.
    """
    shop, destination = shop.resolve(), destination.resolve()
    if destination == shop or shop in destination.parents:
        raise BackupError(f"{destination} lies inside the shop; choose a place outside, best on another disk")
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise BackupError(f"{destination} exists and is not empty; give a new folder for each backup")
    settings = load_settings(shop)
    url = settings.store or f"sqlite:///{shop / RECORD}"
    beside = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}")
    try:
        beside.mkdir(parents=True)
        files: list[str] = []
        elsewhere = not url.startswith("sqlite")
        if not elsewhere:
            copy_record(url, beside / RECORD, progress)
            files.append(RECORD)
        names = list(_files(shop))
        for done, name in enumerate(names):
            if progress is not None:
                progress(done, len(names), "files copied")
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(shop / name, beside / name)
            except FileNotFoundError:  # removed meanwhile: a bundle that was pruned, an old report
                continue
            files.append(name)
        manifest = {
            "format": FORMAT,
            "shelfwise": version("shelfwise"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "record": "elsewhere" if elsewhere else RECORD,
            "files": {name: _sum(beside / name) for name in files},
        }
        _write(beside / MANIFEST, json.dumps(manifest, indent=1).encode())
        for name in files:
            _flush(beside / name)
        if destination.exists():
            destination.rmdir()
        beside.rename(destination)
        _flush(destination.parent)
    except OSError as error:
        raise BackupError(f"{error.filename or destination}: {error.strerror}; nothing was left behind") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def check_backup(source: Path) -> dict[str, Any]:
    """The manifest of a backup, every file of it read and checked. Raises BackupError."""
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_text("utf-8"))
    except OSError as error:
        raise BackupError(f"{source} is no backup: {MANIFEST} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BackupError(f"{source / MANIFEST} is damaged ({error}); use another backup") from None
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{source / MANIFEST} was not written by `shelfwise backup`")
    for name, sum in manifest["files"].items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BackupError(f"{source / MANIFEST} names a file outside the backup ({name!r}); do not use it")
        try:
            same = _sum(source / name) == sum
        except OSError as error:
            raise BackupError(f"{source / name} cannot be read ({error.strerror}); use another backup") from None
        if not same:
            raise BackupError(f"{source / name} is damaged (its checksum differs); use another backup")
    if manifest["record"] == RECORD:
        check_record(source / RECORD)
    return manifest


def restore(source: Path, shop: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Make the shop of a backup in a new or empty folder; the backup's manifest. All or nothing.

    Raises BackupError: a damaged backup, a folder that is taken, a full disk.
    """
    source, shop = source.resolve(), shop.resolve()
    if shop.exists() and (not shop.is_dir() or any(shop.iterdir())):
        raise BackupError(f"{shop} exists and is not empty; restore to a new folder, or move that one away first")
    manifest = check_backup(source)
    beside = shop.with_name(f".{shop.name}.{secrets.token_hex(4)}")
    try:
        beside.mkdir(parents=True)
        names = list(manifest["files"])
        for done, name in enumerate(names):
            if progress is not None:
                progress(done, len(names), "files restored")
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, beside / name)
            _flush(beside / name)
        if shop.exists():
            shop.rmdir()
        beside.rename(shop)
        _flush(shop.parent)
    except OSError as error:
        raise BackupError(f"{error.filename or shop}: {error.strerror}; nothing was left behind") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def _files(shop: Path) -> Iterator[str]:
    """The files to copy besides the record, relative to the shop; the settings first. Hidden ones are half written,
    but for the photos' own."""
    yield FILE
    pointer = shop / POINTER  # before the bundles are listed: what it names is there then
    if pointer.is_file():
        yield POINTER
    for path in sorted(shop.iterdir()):
        if path.name == FILE or path.name in _RECORD_FILES or path.name in LEFT_OUT or path.name.startswith("."):
            continue
        if path.is_file():
            yield path.name
        elif path.is_dir() and not path.is_symlink():
            for inner in sorted(path.rglob("*")):
                relative = inner.relative_to(shop)
                if (
                    str(relative) != POINTER
                    and inner.is_file()
                    and not any(part.startswith(".") for part in relative.parts)
                ):
                    yield str(relative)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    _flush(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
