"""Files → rows, streaming: what is a CSV, JSON Lines, XML or Parquet file, and where it cannot be read.

Every row comes with the line it began on (1-based; in Parquet the row). A file that breaks the format raises
UnreadableFile with that line; nothing is guessed past a broken row. Memory is bounded by the longest line.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from shelfwise.errors import UnreadableFile
from shelfwise.intake import documents, graphql, matomo
from shelfwise.intake.containers import DAMAGED, open_bytes
from shelfwise.intake.encoding import declared_encoding_of, encoding_of
from shelfwise.intake.ids import EXACT

KINDS = ("csv", "tsv", "jsonl", "xml", "parquet")
MAX_LINE = 4_000_000  # bytes; a longer line is a broken file (most often a quote that is never closed)
MAX_FIELD = 1_000_000  # characters
MAX_COLUMNS = 10_000
Row = dict[str, Any]


def sniff(path: Path) -> str:
    """One of KINDS, by content; the extension only settles what the content leaves open."""
    try:
        with path.open("rb") as raw:
            if raw.read(4) == b"PAR1":
                return "parquet"
        with open_bytes(path) as stream:
            head = stream.read(65_536)
    except FileNotFoundError:
        if re.match(r"(?:https?|s?ftp|s3|gs):/", str(path)):
            raise UnreadableFile(path, "is a web address: fetch it first, as with `curl -o FILE ADDRESS`") from None
        raise UnreadableFile(path, "there is no such file") from None
    except DAMAGED as error:
        raise UnreadableFile(path, f"cannot be read: {error}") from None
    if not head.strip():
        raise UnreadableFile(path, "is empty")
    if re.match(rb"(?i)<!doctype html|<html", head.removeprefix(codecs.BOM_UTF8).lstrip()):
        raise UnreadableFile(path, "is a web page, perhaps one to sign in: save the file that its link leads to")
    if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<"):
        return "xml"  # which declares its encoding itself
    begin = head.decode(encoding_of(path).codec, errors="replace").lstrip("\ufeff \t\r\n")
    if not begin:
        raise UnreadableFile(path, "is empty")
    if begin.startswith("<"):
        return "xml"
    if begin.startswith("{") or re.match(r"\[\s*[\[{\]]", begin):
        return "jsonl"
    first = begin.splitlines()[0]
    if separator := _separator_line(first):
        return "tsv" if separator == "\t" else "csv"
    return "tsv" if first.count("\t") > max(first.count(","), first.count(";")) else "csv"


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, text with its line end), in the file's own encoding (see encoding.py)."""
    encoding = encoding_of(path)
    number = 0
    try:
        with open_bytes(path) as stream:
            if encoding.cr or encoding.codec not in ("utf-8", "utf-8-sig"):
                text = io.TextIOWrapper(stream, encoding.codec, newline="\r" if encoding.cr else "\n")
                while line := text.readline(MAX_LINE + 1):
                    number += 1
                    if len(line) > MAX_LINE:
                        raise UnreadableFile(path, _too_long(), line=number)
                    yield number, line.removeprefix("\ufeff") if number == 1 else line
                return
            while raw := stream.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    raise UnreadableFile(path, _too_long(), line=number)
                if number == 1:
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                yield number, raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1].hex()
        problem = (
            f"is not {encoding.name} (byte 0x{byte} at position {error.start + 1}); name its encoding with --encoding"
        )
        raise UnreadableFile(path, problem, line=max(number, 1)) from None
    except DAMAGED as error:
        raise UnreadableFile(path, f"is cut off or damaged: {error}", line=number + 1) from None


def _too_long() -> str:
    return f"the line is longer than {MAX_LINE:,} bytes; is a quote never closed?"


_SEPARATOR = re.compile(r"""^"?sep=(.)"?[;,\t\s]*$""", re.IGNORECASE)


def _separator_line(line: str) -> str:
    """What Excel's first line `sep=;` names, "" for any other line."""
    named = _SEPARATOR.match(line.rstrip("\r\n"))
    return named.group(1) if named else ""


def dialect_of(path: Path, kind: str) -> dict[str, str]:
    """What a report says of how the file is written: its encoding, and of CSV the sign between fields."""
    if kind == "parquet":
        return {}
    encoding = declared_encoding_of(path) if kind == "xml" else encoding_of(path)
    facts = {"format": "JSON"} if kind == "jsonl" and documents.is_document(path) else {}
    facts |= {
        "encoding": f"{encoding.name} (by trial; --encoding names another)" if encoding.detected else encoding.name
    }
    if kind == "csv":
        delimiter = next(_csv(path, kind))[2]
        facts["between fields"] = {",": "comma", ";": "semicolon", "|": "bar", "\t": "tab"}.get(delimiter, delimiter)
    if encoding.cr:
        facts["line ends"] = "carriage returns"
    return facts


def header_of(path: Path, kind: str) -> list[str]:
    """The column names (CSV, TSV, Parquet), or the keys of the first thousand objects (JSON)."""
    if kind == "parquet":
        return list(_parquet(path).collect_schema())
    if kind == "jsonl":
        names = list(dict.fromkeys(name for _, row in islice(json_rows(path), 1_000) for name in row))
        if not names:
            raise UnreadableFile(path, "has no rows")
        return names
    return next(_csv(path, kind))[1]


_FORMULA = re.compile(r'^="(.*)"$', re.DOTALL)  # how Excel is made to keep a text as it is: ="0012"


def _csv(path: Path, kind: str) -> Iterator[tuple[int, list[str], str]]:
    """(line, fields, delimiter): the header first. Rows of nothing, and fields of nothing past the header's, are none.

    A row of another length than the header's, or a broken quote, raises."""
    numbered = lines(path)
    first: tuple[int, str] | None = None
    delimiter = "\t" if kind == "tsv" else ""
    heading = 0  # rows before the header, as Amazon's templates have
    template = False
    for number, text in numbered:
        if separator := _separator_line(text):
            delimiter = separator
        elif text.strip():
            first = number, text
            heading = _template_rows(text)
            template = heading > 0
            break
    if first is None:
        raise UnreadableFile(path, "is empty")
    if not template:
        first, numbered = _past_remarks(first, numbered, delimiter)
    skipped = first[0] - 1
    delimiter = delimiter or max(",;|\t", key=_outside_quotes(first[1]).count)
    texts: Iterator[str] = chain((first[1],), (text for _, text in numbered))
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))  # the module's own 131,072 is short for HTML
    if delimiter == "\t":
        texts = map(_tabbed, texts)
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    footer: tuple[int, list[str]] | None = None  # a line of one field, which only the file's end may have
    begin = 1 + skipped
    header: list[str] | None = None
    named = 0  # fields up to the last one with a name
    try:
        for row in reader:
            blank = not any(field.strip() for field in row)
            if heading > 0:
                heading -= 1
            elif header is None and not blank:
                header = _header(path, _short(row) if template else row, begin)
                named = max(place for place, field in enumerate(row, 1) if field.strip())
                yield begin, header, delimiter
            elif header is not None and not blank:
                if len(row) > len(header) and not any(field.strip() for field in row[len(header) :]):
                    row = row[: len(header)]
                elif named <= len(row) < len(header):
                    row += [""] * (len(header) - len(row))
                row = [_FORMULA.sub(r"\1", field) if field[:2] == '="' else field for field in row]
                if len(row) == 1 and len(header) > 3:
                    footer = footer or (begin, row)
                elif len(row) != len(header) or footer is not None:
                    begin, row = footer or (begin, row)
                    few = len(row) < len(header)
                    raise UnreadableFile(
                        path,
                        f"has {len(row)} fields where the header has {len(header)}; is a quote or delimiter missing?",
                        line=begin,
                        column=header[len(row)] if few else header[-1],
                    )
                else:
                    yield begin, row, delimiter
            begin = reader.line_num + 1 + skipped
        if footer is not None and header is not None:  # what counts or signs the rows; a row that says nothing else
            yield footer[0], footer[1] + [""] * (len(header) - 1), delimiter
    except csv.Error as error:
        problem = str(error)
        if "field limit" in problem:
            problem = f"a field is longer than {csv.field_size_limit():,} characters; is a quote never closed?"
        elif "unexpected end of data" in problem:
            problem = "a quote is opened here and never closed"
        raise UnreadableFile(path, problem, line=begin) from None


def _tabbed(text: str) -> str:
    """A line of a file with tabs; quotes that are part of its texts, as in `27" screen`, made good."""
    if '"' not in text:
        return text
    try:
        for _ in csv.reader([text], delimiter="\t", strict=True):
            pass
    except csv.Error as error:
        if "expected after" in str(error):
            fields = text.rstrip("\r\n").split("\t")
            return "\t".join('"' + field.replace('"', '""') + '"' for field in fields) + "\n"
    return text


_REMARKS = 20  # lines that may stand before the headings


def _past_remarks(
    first: tuple[int, str], numbered: Iterator[tuple[int, str]], delimiter: str
) -> tuple[tuple[int, str], Iterator[tuple[int, str]]]:
    """The line of the headings, and those behind it. A title, the date of the export, `# comments` may stand before it:
    lines of one field, in a file that has more."""
    waiting = [first]
    if _fields_in(first[1], delimiter) < 2:
        for pair in islice(numbered, _REMARKS):
            waiting.append(pair)
            if _fields_in(pair[1], delimiter) > 1:
                return pair, numbered
    return first, chain(waiting[1:], numbered)


def _fields_in(line: str, delimiter: str) -> int:
    """How many fields with something in them a line has; none where it is a comment."""
    if re.match(r'"?#(?:\s|-|=|$)', line):
        return 0
    line = re.sub(r'"[^"]*"', "text", line)
    return sum(bool(field.strip()) for field in line.split(delimiter or max(",;|\t", key=line.count)))


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _template_rows(line: str) -> int:
    """How many rows Amazon's flat-file templates have before the one with the columns' names, this one included."""
    if not re.match(r'^"?(TemplateType|Template|settings)=', line.lstrip("\ufeff")):
        return 0
    named = re.search(r"attributeRow=(\d+)", line)
    return int(named.group(1)) - 1 if named else 2


def _short(names: list[str]) -> list[str]:
    """Amazon's newer names without market, language and place: item_name[marketplace_id=…]#1.value is item_name."""
    short = [re.sub(r"\[[^\]]*\]", "", name) for name in names]
    short = [re.sub(r"(?:#1)?(?:\.schedule#1)?\.value(?:_with_tax)?$", "", name) for name in short]
    return [new if short.count(new) == 1 else name for new, name in zip(short, names, strict=True)]


def _header(path: Path, row: list[str], line: int) -> list[str]:
    names = [name.strip() or f"column {position}" for position, name in enumerate(row, 1)]
    if len(names) > MAX_COLUMNS:
        raise UnreadableFile(path, f"has {len(names):,} columns; at most {MAX_COLUMNS:,} are read", line=line)
    for position, name in enumerate(names):
        if name in names[:position]:
            raise UnreadableFile(path, "the header names this column twice", line=line, column=name)
    return names


_LONG_NUMBER = re.compile(r"(?<![\d\"])\d{19}")  # beyond 64 bits orjson makes a float of it


def json_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """The objects of JSON Lines, where blank lines are skipped, or of a JSON document, whatever wraps them; what APIs
    write in a way of their own as others do (see graphql.py, matomo.py)."""
    for line, record in graphql.joined(path, partial(_objects, path)):
        if matomo.is_visit(record):
            for event in matomo.events(record):
                yield line, event
        else:
            yield line, record


def _objects(path: Path) -> Iterator[tuple[int, Row]]:
    if documents.is_document(path):
        yield from documents.rows(path)
        return
    for number, text in lines(path):
        if not text.strip():
            continue
        try:
            row = json.loads(text) if _LONG_NUMBER.search(text) else orjson.loads(text)
        except json.JSONDecodeError as error:
            raise UnreadableFile(path, f"is not JSON: {error.msg} (character {error.pos + 1})", line=number) from None
        if not isinstance(row, dict):
            raise UnreadableFile(path, "is not a JSON object", line=number)
        for record in documents.unwrapped(row):
            yield number, record


def _parquet(path: Path) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path)
        frame.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableFile(path, f"is not readable Parquet: {str(error).splitlines()[0]}") from None
    return frame


def parquet_frames(path: Path, columns: list[str] | None = None, rows: int = 50_000) -> Iterator[pl.DataFrame]:
    """Frames of at most about `rows`, with a `line` column: the row, 1-based."""
    frame = _parquet(path)
    if columns is not None:
        frame = frame.select(columns)
    done = 0
    try:
        total = int(frame.select(pl.len()).collect().item())
        while done < total:  # slices: batches would hold a row group, which may be the whole file
            batch = frame.slice(done, rows).collect()
            yield batch.with_columns(line=pl.int_range(done + 1, done + 1 + pl.len(), dtype=pl.Int64))
            done += rows
    except (OSError, pl.exceptions.PolarsError) as error:
        problem = f"is not readable Parquet: {str(error).splitlines()[0]}"
        raise UnreadableFile(path, problem, line=done + 1) from None


def float_columns(path: Path, kind: str) -> dict[str, bool]:
    """Parquet's columns of floating point; whether some number is so large that its last digits are lost."""
    if kind != "parquet":
        return {}
    frame = _parquet(path)
    names = [name for name, dtype in frame.collect_schema().items() if dtype.is_float()]
    if not names:
        return {}
    largest = frame.select(pl.col(name).abs().max() for name in names).collect().row(0, named=True)
    return {name: (value or 0) >= EXACT for name, value in largest.items()}


def rows_of(path: Path, kind: str) -> Iterator[tuple[int, Row]]:
    """Rows as dicts: texts (CSV), JSON values (JSON Lines), Python values (Parquet)."""
    if kind == "jsonl":
        yield from json_rows(path)
    elif kind == "parquet":
        for frame in parquet_frames(path):
            for row in frame.iter_rows(named=True):
                yield row.pop("line"), row
    else:
        rows = _csv(path, kind)
        header = next(rows)[1]
        for line, values, _ in rows:
            yield line, dict(zip(header, values, strict=True))


def text_frames(path: Path, kind: str, columns: list[str], rows: int = 50_000) -> Iterator[pl.DataFrame]:
    """Frames of the columns asked for as texts ("" where there is nothing), with `line` (Int64).

    In JSON Lines a column may be a path into nested objects ("user.id").
    """
    if kind == "parquet":
        for frame in parquet_frames(path, columns, rows):
            yield frame.select("line", *(_as_text(frame[name]) for name in columns))
        return
    numbers: list[int] = []
    gathered: list[list[str]] = []
    if kind == "jsonl":
        source: Iterator[tuple[int, list[str]]] = (
            (line, [value_text(_reach(row, name)) for name in columns]) for line, row in json_rows(path)
        )
    else:
        whole = _csv(path, kind)
        header = next(whole)[1]
        places = [header.index(name) for name in columns]
        source = ((line, [row[place] for place in places]) for line, row, _ in whole)

    def frame_of() -> pl.DataFrame:
        values = zip(*gathered, strict=True) if columns else ()
        texts = [pl.Series(name, column, dtype=pl.String) for name, column in zip(columns, values, strict=True)]
        return pl.DataFrame([pl.Series("line", numbers, dtype=pl.Int64), *texts])

    for line, values in source:
        numbers.append(line)
        gathered.append(values)
        if len(numbers) >= rows:
            yield frame_of()
            numbers, gathered = [], []
    if numbers:
        yield frame_of()


def _as_text(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            column = column.dt.convert_time_zone("UTC")
        column = column.dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    elif kind.is_float():  # a whole number is written as one: pandas makes floats of ids where one is missing
        whole = (column == column.floor()) & (column.abs() < 1e18)
        numbers = column.set(~whole.fill_null(value=False), None).cast(pl.Int64).cast(pl.String)
        column = numbers.zip_with(numbers.is_not_null(), column.cast(pl.String))
    elif kind.is_nested() or kind == pl.Binary():
        name = column.name
        column = pl.Series(name, [value_text(value) for value in column.to_list()], dtype=pl.String)
    else:
        column = column.cast(pl.String)
    return column.fill_null("")


def _reach(row: Row, name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def value_text(value: Any) -> str:
    """A JSON or Python value as the text a CSV would hold."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
