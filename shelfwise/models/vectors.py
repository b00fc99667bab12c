"""Vectors on disk by content hash: nothing is encoded twice, and an interrupted run goes on where it stopped.

A folder an encoder; in it append-only shards of fixed-length records (key, vector as float16, CRC-32). Each
process writes a shard of its own and reads everyone's, so that two may work at once without a lock; a record
torn by a crash fails its checksum and is encoded again.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import threading
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats

KEY = 16  # bytes
log = logging.getLogger("shelfwise.models")


def content_key(content: bytes) -> bytes:
    """BLAKE2b of the content, 16 bytes."""
    return hashlib.blake2b(content, digest_size=KEY).digest()


@dataclass(slots=True)
class _Shelf:
    """What is known of one encoder's folder."""

    places: dict[bytes, tuple[Path, int]] = field(default_factory=dict)  # key -> shard, row
    read: dict[Path, int] = field(default_factory=dict)  # shard -> rows indexed
    mine: Path | None = None  # the shard this process appends to


class VectorCache:
    """Vectors of encoders by content, kept in `folder` (made at the first write). Thread-safe.

    It saves work and is not needed: what cannot be read is not found, what cannot be written (a full disk, a folder of
    another user) is logged and not kept; `problem` then says why.

    A vector comes back as float16 keeps it: within 5e-4 of each number of a unit row.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.problem = ""
        self._shelves: dict[str, _Shelf] = {}
        self._lock = threading.Lock()

    def get(self, encoder: str, keys: Sequence[bytes], dimensions: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(float32 [n, dimensions], bool [n] found); rows not found are zero."""
        kind = _record(dimensions)
        vectors = np.zeros((len(keys), dimensions), np.float32)
        cached = np.zeros(len(keys), np.bool_)
        with self._lock:
            try:
                shelf = self._refreshed(encoder, kind)
            except OSError as error:
                self._failed(error)
                return vectors, cached
            wanted: dict[Path, list[tuple[int, int]]] = {}
            for index, key in enumerate(keys):
                place = shelf.places.get(key)
                if place is not None:
                    wanted.setdefault(place[0], []).append((index, place[1]))
            for path, places in wanted.items():
                try:
                    shard = np.memmap(path, kind, "r", shape=(shelf.read[path],))
                except (OSError, ValueError):  # removed or cut by somebody: encoded again
                    continue
                for index, row in places:
                    record = shard[row]
                    if _sound(record):
                        vectors[index] = record["vector"]
                        cached[index] = True
                    else:
                        shelf.places.pop(keys[index], None)
        return vectors, cached

    def put(self, encoder: str, keys: Sequence[bytes], vectors: Floats) -> None:
        """Keep vectors float32 [n, d] under keys; in the operating system's hands on return."""
        if not len(keys):
            return
        kind = _record(vectors.shape[1])
        records = np.zeros(len(keys), kind)
        records["key"] = np.frombuffer(b"".join(keys), f"V{KEY}")
        records["vector"] = vectors
        body = kind.itemsize - kind["check"].itemsize
        raw = records.tobytes()
        records["check"] = [zlib.crc32(raw[start : start + body]) for start in range(0, len(raw), kind.itemsize)]
        with self._lock:
            try:
                self._append(encoder, vectors.shape[1], records.tobytes())
            except OSError as error:
                self._failed(error)
            else:
                self.problem = ""

    def _append(self, encoder: str, dimensions: int, records: bytes) -> None:
        shelf = self._shelves.setdefault(encoder, _Shelf())
        if shelf.mine is None:
            home = self.folder / _folder_name(encoder)
            home.mkdir(parents=True, exist_ok=True)
            shelf.mine = home / f"{os.getpid()}-{uuid.uuid4().hex[:12]}.d{dimensions}"
        with shelf.mine.open("ab", buffering=0) as shard:
            whole = shard.tell()
            try:
                written = shard.write(records)
                if written < len(records):  # a full disk takes a part
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(shelf.mine))
            except OSError:
                shard.truncate(whole)
                raise

    def _failed(self, error: OSError) -> None:
        problem = f"{error.filename or self.folder}: {error.strerror or error}"
        if problem != self.problem:
            log.warning("vectors are encoded anew each time, for the cache cannot be used: %s", problem)
        self.problem = problem

    def close(self) -> None:
        """Forget what was indexed; the next use looks again, and writes to a new shard."""
        with self._lock:
            self._shelves.clear()

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Vectors known so far, of every encoder asked for."""
        return sum(len(shelf.places) for shelf in self._shelves.values())

    def _refreshed(self, encoder: str, kind: np.dtype[np.void]) -> _Shelf:
        """Index what this and other processes appended since the last look."""
        shelf = self._shelves.setdefault(encoder, _Shelf())
        home = self.folder / _folder_name(encoder)
        if not home.is_dir():
            return shelf
        (dimensions,) = kind["vector"].shape
        for path in sorted(home.glob(f"*.d{dimensions}")):
            rows = path.stat().st_size // kind.itemsize  # a torn last record is not counted
            known = shelf.read.get(path, 0)
            if rows > known:
                keys = np.memmap(path, kind, "r", shape=(rows,))["key"][known:].tobytes()
                for row in range(known, rows):
                    key = keys[(row - known) * KEY : (row - known + 1) * KEY]
                    place = shelf.places.setdefault(key, (path, row))
                    if place != (path, row) and not _sound(_row(place, kind)):  # it was put again
                        shelf.places[key] = (path, row)
                shelf.read[path] = rows
        return shelf


def _record(dimensions: int) -> np.dtype[np.void]:
    return np.dtype([("key", f"V{KEY}"), ("vector", "<f2", (dimensions,)), ("check", "<u4")])


def _row(place: tuple[Path, int], kind: np.dtype[np.void]) -> np.void:
    record: np.void = np.fromfile(place[0], kind, 1, offset=place[1] * kind.itemsize)[0]
    return record


def _sound(record: np.void) -> bool:
    return zlib.crc32(record.tobytes()[:-4]) == int(record["check"])


def _folder_name(encoder: str) -> str:
    return re.sub(r"[^\w.-]+", "-", encoder)
