"""Files in files: gzip, a zip archive with one file in it, and what is no table at all, by their first bytes."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from shelfwise.errors import UnreadableFile

#: What reading a file that is cut off or damaged raises.
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_SHEET = "save the sheet as CSV (UTF-8)"
_OTHERS = {
    b"\xd0\xcf\x11\xe0": f"is a workbook of an old Excel; {_SHEET}",
    b"%PDF": "is a PDF; export a table (CSV, JSON, XML) in its place",
    b"Rar!": "is a RAR archive; unpack it first",
    b"7z\xbc\xaf": "is a 7z archive; unpack it first",
    b"\x28\xb5\x2f\xfd": "is packed with zstd; unpack it first, or pack it with gzip",
    b"BZh": "is packed with bzip2; unpack it first, or pack it with gzip",
    b"\xfd7zX": "is packed with xz; unpack it first, or pack it with gzip",
    b"SQLi": "is an SQLite database; export its tables as CSV",
}


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where they are gzip or the only file of a zip archive (by content, whatever the name).

    Raises UnreadableFile for what holds no table, OSError."""
    raw = path.open("rb")
    head = raw.read(4)
    if head.startswith(_GZIP) or head == _ZIP:
        raw.close()
        return cast(IO[bytes], gzip.open(path, "rb")) if head != _ZIP else _member(path)
    raw.seek(0)
    for mark, problem in _OTHERS.items():
        if head.startswith(mark):
            raw.close()
            raise UnreadableFile(path, problem)
    return raw


def unpacked_size(path: Path) -> int:
    """Bytes of a zip archive's file as the archive tells, which is as far as it is read; 0 for other files."""
    with path.open("rb") as raw:
        if raw.read(4) != _ZIP:
            return 0
    with zipfile.ZipFile(path) as archive:
        return max((member.file_size for member in archive.infolist()), default=0)


def _member(path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(path)
        names = [one.filename for one in archive.infolist() if not one.is_dir()]
    except zipfile.BadZipFile as error:
        raise UnreadableFile(path, f"is a zip archive that is cut off or damaged ({error})") from None
    if any(name.startswith("xl/") for name in names):
        raise UnreadableFile(path, f"is an Excel workbook; {_SHEET}")
    if "mimetype" in names and "content.xml" in names:
        raise UnreadableFile(path, f"is an OpenDocument file; {_SHEET}")
    names = [name for name in names if not name.startswith("__MACOSX/") and not name.rpartition("/")[2].startswith(".")]
    if len(names) != 1:
        listed = ", ".join(names[:5]) or "none"
        raise UnreadableFile(
            path, f"is a zip archive of {len(names)} files ({listed}); unpack it and load them one by one"
        )
    try:
        return archive.open(names[0])
    except RuntimeError:
        raise UnreadableFile(path, "is a zip archive with a password; unpack it first") from None
