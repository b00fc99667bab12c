"""Which encoding a text file is written in: by its byte order mark, else UTF-8 where every byte fits, else by trial.

A file that is not UTF-8 is decoded as each of `_LEGACY`; the text that looks most like what people write in that
encoding wins (common characters of the standard's first level, letters beside letters). A file that is UTF-8 for the
most part is a damaged one and no other encoding is tried. The idea is that of Mozilla's detector (Li and Momoi, "A
composite approach to language/encoding detection", 2001): what is rare in a language tells that the guess is wrong.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shelfwise.errors import UnreadableFile
from shelfwise.intake.containers import DAMAGED, open_bytes

_SAMPLE = 60_000  # bytes beside signs beyond ASCII that are weighed
_FEW = 12  # bytes beyond ASCII below which two likely encodings are not told apart
_BLOCK = 262_144
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Codecs by what people call them: each the largest of its family, so that a name that says less still reads all.
_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "big5": "big5hkscs", "cp950": "big5hkscs",
    "shift_jis": "cp932", "euc_kr": "cp949", "iso8859-1": "cp1252", "ascii": "utf-8", "utf_8": "utf-8",
}  # fmt: skip
_SHOWN = {
    "utf-8": "UTF-8", "utf-8-sig": "UTF-8 with a byte order mark", "utf-16": "UTF-16", "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16", "utf-32": "UTF-32", "gb18030": "GB18030", "big5hkscs": "Big5", "cp932": "Shift-JIS",
    "euc_jp": "EUC-JP", "cp949": "EUC-KR", "cp1252": "Windows-1252", "cp1250": "Windows-1250",
    "cp1251": "Windows-1251", "mac_roman": "Mac Roman",
}  # fmt: skip
_given: ContextVar[str] = ContextVar("encoding", default="")


@dataclass(frozen=True, slots=True)
class Encoding:
    """codec: for Python. cr: lines end in a lone carriage return. detected: by trial, so worth a look."""

    codec: str
    cr: bool = False
    detected: bool = False

    @property
    def name(self) -> str:
        return _SHOWN.get(self.codec, self.codec)


@contextmanager
def read_as(encoding: str | None) -> Iterator[None]:
    """Within it files are read in this encoding, whatever they look like. Raises UnreadableFile for an unknown name."""
    if not encoding:
        yield
        return
    token = _given.set(_codec(encoding) or _unknown(encoding))
    try:
        yield
    finally:
        _given.reset(token)


def encoding_of(path: Path) -> Encoding:
    """Raises UnreadableFile for a file that is binary, a damaged UTF-8 or in an encoding nobody can tell."""
    try:
        facts = path.stat()
    except OSError as error:
        raise UnreadableFile(path, f"cannot be read: {error}") from None
    return _encoding_of(path, facts.st_size, facts.st_mtime_ns, _given.get())


def chunks_of_bytes(path: Path, size: int = _BLOCK) -> Iterator[bytes]:
    try:
        with open_bytes(path) as stream:
            while block := stream.read(size):
                yield block
    except DAMAGED as error:
        raise UnreadableFile(path, f"is cut off or damaged: {error}") from None


def declared_encoding_of(path: Path) -> Encoding:
    """Of an XML file: UTF-8 where every byte fits, else what its first line declares, else as `encoding_of`.

    Raises UnreadableFile where the declared encoding is none or the bytes are not in it."""
    head = next(chunks_of_bytes(path), b"")
    declared = re.match(rb"""\s*<\?xml[^>]*encoding=["']([\w.:-]+)["']""", head.removeprefix(codecs.BOM_UTF8))
    if declared is None or _given.get() or head.startswith(tuple(mark for mark, _ in _MARKS)):
        return encoding_of(path)
    name = declared.group(1).decode("ascii", "replace")
    codec = _codec(name)
    if not codec:
        raise UnreadableFile(path, f"declares the encoding {name!r}, which is none; save the file as UTF-8", line=1)
    for candidate in ("utf-8", codec):
        if _decodes(path, candidate):
            return Encoding(candidate)
    if codec != "utf-8":
        raise UnreadableFile(
            path,
            f"declares {name} and is not in it; save the file as UTF-8, or name its encoding with --encoding",
            line=1,
        )
    return encoding_of(path)


def _codec(name: str) -> str:
    try:
        codec = codecs.lookup(name.strip()).name
        "".encode(codec)
    except LookupError:
        return ""
    return _WIDER.get(codec.replace("-", "_"), _WIDER.get(codec, codec))


def _unknown(name: str) -> str:
    raise UnreadableFile(Path(name), "is no encoding; use for example utf-8, gb18030, big5, shift_jis, windows-1252")


@lru_cache(maxsize=64)
def _encoding_of(path: Path, _size: int, _changed: int, given: str) -> Encoding:
    blocks = chunks_of_bytes(path)
    head = next(blocks, b"")
    mark = next((codec for mark, codec in _MARKS if head.startswith(mark)), "")
    codec = given or mark or _wide(path, head)
    if not codec:
        codec = "utf-8"
        sample = _misfits(path)
        if sample:
            return _detected(path, sample, cr=_cr(head))
    return Encoding(codec, cr=_cr(head.decode(codec, errors="replace").encode("utf-8", "replace")))


def _cr(head: bytes) -> bool:
    return b"\r" in head and b"\n" not in head


def _wide(path: Path, head: bytes) -> str:
    """UTF-16 without a mark: of ASCII's letters every other byte is 0."""
    head = head[:4_096]
    if b"\x00" not in head:
        return ""
    even, odd = head[::2].count(0), head[1::2].count(0)
    pairs = len(head) // 2
    if odd > pairs * 0.3 and even < pairs * 0.05:
        return "utf-16-le"
    if even > pairs * 0.3 and odd < pairs * 0.05:
        return "utf-16-be"
    raise UnreadableFile(path, "is binary (it has NUL bytes), neither CSV, JSON Lines, XML nor Parquet")


def _misfits(path: Path) -> bytes:
    """Nothing when all bytes are UTF-8; else the pieces around the bytes beyond ASCII, for weighing.

    Raises UnreadableFile when most of what is beyond ASCII is UTF-8: then some bytes are damaged."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, fits = 1, True
    try:
        for block in chunks_of_bytes(path):
            text = decoder.decode(block)
            line += text.count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        fits = False
        line += error.object[: error.start].count(b"\n")
        byte = error.object[error.start]
    if fits:
        return b""
    sample = bytearray()
    for block in chunks_of_bytes(path):
        if not block.isascii():
            sample += b"\n".join(piece for piece in block.splitlines() if not piece.isascii()) + b"\n"
        if len(sample) > _SAMPLE:
            break
    text = bytes(sample).decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    whole = sum(1 for sign in text if sign > "\x7f" and sign != "\ufffd")
    if whole >= damaged:
        problem = f"is not UTF-8 (byte 0x{byte:02x}), though most of it is; save the file as UTF-8, or give --encoding"
        raise UnreadableFile(path, problem, line=line)
    return bytes(sample)


def _detected(path: Path, sample: bytes, *, cr: bool) -> Encoding:
    scores: list[tuple[float, str]] = []
    for codec, weigh in _LEGACY.items():
        if codec == "mac_roman" and not cr:
            continue
        try:
            text = sample.decode(codec)
        except UnicodeDecodeError as error:
            if error.end < len(sample) - 8:  # the sample's own end may cut a sign
                continue
            text = sample[: error.start].decode(codec)
        scores.append((weigh(text, codec), codec))
    likely = [(score, codec) for score, codec in sorted(scores, reverse=True) if score >= 0.1 and _decodes(path, codec)]
    if likely:
        best, codec = likely[0]
        # A few Chinese signs are as good Korean or Japanese ones: rather ask than store what nobody can read.
        rivals = [other for score, other in likely if codec in _COMMON and score > best - 0.25]
        if len(rivals) > 1 and sum(byte > 0x7F for byte in sample) < _FEW:
            shown = " or ".join(f"{_SHOWN[rival]} ({_first_words(sample.decode(rival, 'ignore'))})" for rival in rivals)
            raise UnreadableFile(path, f"is not UTF-8 and may be {shown}; name its encoding with --encoding")
        return Encoding(codec, cr=cr, detected=True)
    raise UnreadableFile(
        path, "is not UTF-8, and its encoding cannot be told; save it as UTF-8, or name its encoding with --encoding"
    )


def _first_words(text: str) -> str:
    return "".join(sign for sign in text if sign > "\x7f")[:12]


def _decodes(path: Path, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for block in chunks_of_bytes(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _east(text: str, codec: str) -> float:
    """How much a text looks like Chinese, Japanese or Korean written in this codec: at most about 1."""
    weights = [_sign(sign, codec) for sign in text if sign > "\x7f"]
    return sum(weights) / max(len(weights), 1)


#: First bytes of what each standard calls its common characters (level 1, or Korean's syllables).
_COMMON = {
    "gb18030": (0xB0, 0xD7), "big5hkscs": (0xA4, 0xC6), "cp932": (0x88, 0x97), "euc_jp": (0xB0, 0xCF),
    "cp949": (0xB0, 0xC8),
}  # fmt: skip


def _sign(sign: str, codec: str) -> float:
    name = unicodedata.category(sign)
    if name in ("Co", "Cn", "Cc"):
        return -2.0
    raw = sign.encode(codec)
    if "\u3040" <= sign <= "\u30ff":  # kana stand in Chinese standards too
        return 1.0 if codec in ("cp932", "euc_jp") else 0.4
    if "\uff61" <= sign <= "\uff9f":  # half-width kana: one byte each
        return -0.4
    if "\u3000" <= sign <= "\u303f" or "\uff00" <= sign <= "\uffef":
        return 0.7
    if name == "Lo" and len(raw) == 2:
        low, high = _COMMON[codec]
        if low <= raw[0] <= high and (raw[1] >= 0xA1 or codec in ("big5hkscs", "cp932")):
            # Korean's syllables lie where the first half of Chinese does.
            return 0.9 if codec == "big5hkscs" or (codec in ("gb18030", "euc_jp") and raw[0] <= 0xC8) else 1.0
        return -0.6
    return 0.5 if len(raw) == 4 else 0.0


_LETTERS = {"cp1251": "CYRILLIC"}


_PRIOR = {"cp1252": 0.0, "mac_roman": -0.3}  # which is tried only where lines end as on old Macs


def _west(text: str, codec: str) -> float:
    """How much a text looks like words of an alphabet: letters beside letters, capitals at a word's beginning."""
    script = _LETTERS.get(codec, "LATIN")
    total, count = 0.0, 0
    for place, sign in enumerate(text):
        if sign <= "\x7f":
            continue
        count += 1
        before = text[place - 1] if place else " "
        after = text[place + 1] if place + 1 < len(text) else " "
        if not sign.isalpha() or sign in "ªº":
            inside = before.isalpha() and after.isalpha() and sign not in "’·"
            usual = sign in "€£¥©®™°–—“”‘’„…«»·§ºª²³¼½¾µ×\xa0¿¡†"
            total += -1.0 if inside or unicodedata.category(sign) == "Cc" else 0.4 if usual else -0.5
        elif script not in unicodedata.name(sign, "") or (sign.isupper() and before.islower()):
            total -= 1.0
        elif script == "CYRILLIC":
            latin = any(beside.isalpha() and beside.isascii() for beside in (before, after))
            total += -0.7 if latin else 1.0 if before > "\x7f" or after > "\x7f" else 0.2
        elif (before.isalpha() and before.isascii()) or (after.isalpha() and after.isascii()):
            total += 0.9
        else:
            total += -0.7 if before > "\x7f" or after > "\x7f" else 0.3
    return total / max(count, 1) - _PRIOR.get(codec, 0.02)


_LEGACY: dict[str, Callable[[str, str], float]] = {
    **dict.fromkeys(_COMMON, _east),
    **dict.fromkeys(("cp1252", "cp1250", "cp1251", "mac_roman"), _west),
}
