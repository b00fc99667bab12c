"""A form with a file, taken in as it arrives: the file goes to disk in the shop's folder, never whole into memory.

Texts of the form come before its file, so that whoever may not send one is refused before any of it is kept.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from shelfwise.serve.wire import Refused

MAX_FIELD = 8_192  # bytes of a text field
MAX_FIELDS = 20
MAX_NAME = 120  # characters kept of what the file is called
PAUSE = 60.0  # seconds without a byte after which a sender is given up


@dataclass(frozen=True, slots=True)
class Upload:
    """path: where the file lies, under a name made here. name: what its sender calls it, to be shown only."""

    path: Path
    name: str
    size: int
    fields: dict[str, str]


@dataclass(slots=True)
class _Part:
    headers: dict[str, bytes] = field(default_factory=dict)
    header: bytes = b""
    value: bytes = b""
    name: str = ""
    file: bool = False
    data: bytearray = field(default_factory=bytearray)


class _Form:
    """The parser's callbacks: what it has read so far."""

    def __init__(self, folder: Path, limit: int, allowed: Callable[[dict[str, str]], None]) -> None:
        self.fields: dict[str, str] = {}
        self.path: Path | None = None
        self.name = ""
        self.size = 0
        self.ended = False
        self._folder = folder
        self._limit = limit
        self._allowed = allowed
        self._part = _Part()
        self._out: IO[bytes] | None = None

    def begin(self) -> None:
        self._part = _Part()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def header_end(self) -> None:
        part = self._part
        part.headers[part.header.decode("latin-1").lower()] = part.value
        part.header = part.value = b""

    def headers_finished(self) -> None:
        part = self._part
        _, options = parse_options_header(part.headers.get("content-disposition", b""))
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        part.file = b"filename" in options
        if not part.file:
            return
        if self.path is not None:
            raise Refused(400, "bad_form", "send one file at a time")
        self._allowed(self.fields)
        self.name = _shown(options[b"filename"].decode("utf-8", "replace"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self.path = self._folder / secrets.token_hex(16)
        self._out = self.path.open("xb")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._out is not None and self._part.file:
            self.size += end - start
            if self.size > self._limit:
                raise Refused(
                    413,
                    "too_large",
                    f"the file is larger than {self._limit // 1_000_000:,} MB (setting upload_mb); "
                    "send it in parts, or use `shelfwise load`",
                )
            self._out.write(data[start:end])
            return
        self._part.data += data[start:end]
        if len(self._part.data) > MAX_FIELD:
            raise Refused(413, "too_large", f"a field of the form is longer than {MAX_FIELD:,} bytes")

    def part_end(self) -> None:
        if self._part.file:
            self.close()
        elif len(self.fields) >= MAX_FIELDS:
            raise Refused(400, "bad_form", "the form has too many fields")
        else:
            self.fields[self._part.name[:100]] = self._part.data.decode("utf-8", "replace")

    def end(self) -> None:
        self.ended = True

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None


async def receive(request: Request, folder: Path, limit: int, allowed: Callable[[dict[str, str]], None]) -> Upload:
    """The form's file, in `folder` under a random name, at most `limit` bytes.

    allowed: told the texts that came before the file; raises what refuses it. Raises Refused (400, 408, 413, 415) and
    whatever `allowed` raises, having kept nothing.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Refused(415, "content_type", "send the file in a form (multipart/form-data)")
    form = _Form(folder, limit, allowed)
    parser = MultipartParser(
        options[b"boundary"],
        {
            "on_part_begin": form.begin,
            "on_part_data": form.data,
            "on_part_end": form.part_end,
            "on_header_field": form.header_field,
            "on_header_value": form.header_value,
            "on_header_end": form.header_end,
            "on_headers_finished": form.headers_finished,
            "on_end": form.end,
        },
    )
    kept = False
    try:
        stream = request.stream().__aiter__()
        while True:
            try:
                async with asyncio.timeout(PAUSE):
                    block = await anext(stream)
            except StopAsyncIteration:
                break
            # Parsing and writing a block takes well under a millisecond; blocks are what the server hands over.
            parser.write(block)
        if not form.ended:
            raise Refused(400, "bad_form", "the form ends before its last boundary")
        if form.path is None or not form.size:
            raise Refused(400, "no_file", "choose a file first")
        kept = True
        return Upload(form.path, form.name, form.size, form.fields)
    except MultipartParseError:
        raise Refused(400, "bad_form", "the form cannot be read") from None
    except TimeoutError:
        raise Refused(408, "timeout", f"nothing came for {PAUSE:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "incomplete", "the connection ended before the whole file arrived") from None
    finally:
        form.close()
        if not kept and form.path is not None:
            form.path.unlink(missing_ok=True)


def _shown(name: str) -> str:
    """The last part of a path, printable."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[-MAX_NAME:] or "file"
