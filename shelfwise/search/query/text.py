"""Text to index terms: one spelling for what is the same to a shopper, with offsets for highlights.

English words are stemmed (Porter 2, https://snowballstem.org), numbers keep their unit ("15.6 inch" and
15.6" are 15.6in), model numbers are kept whole and split ("TN-2110" is tn2110, tn and 2110), Chinese is cut
into overlapping segments (chinese.py).
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import Stemmer

from shelfwise.search.query.chinese import HAN, Segmenter, mainland, simplified
from shelfwise.search.query.pinyin import syllables

__all__ = ["STOP_WORDS", "Analyzer", "Token", "normal"]

#: Words a query does not want by themselves.
_STOPS = "a an and are at by for from in is it of on or the to with 的 了 和 与 及 或 吗 呢 在 是"
STOP_WORDS = frozenset(_STOPS.split())

_MAX_RUN = 2_000  # characters of Chinese cut at once
_CACHE = 400_000  # chunks kept with their terms


class Token(NamedTuple):
    """One index term, and where in the original text it stands."""

    text: str
    start: int
    end: int


def normal(text: str) -> str:
    """One spelling: NFKC, case folded, accents of Latin letters off, simplified Chinese, plain quotes and dashes,
    single spaces, no control characters. Idempotent. No longer than 18 times the text (one Arabic ligature)."""
    return " ".join((text.lower() if text.isascii() else text.translate(_TABLE)).translate(_CONTROLS).split())


_CONTROLS = {code: " " if chr(code).isspace() else None for code in (*range(32), 127)}
_PLAIN = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`\uff07\u02bc\u02b9", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u3003\uff02\u2036\u00a8", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u00ad", "-"),
    **dict.fromkeys("\u2122\u2120\u00ae\u00a9\u00b7\u2022\u30fb\u3001\u3002\u3010\u3011\u300a\u300b\u300c\u300d", " "),
    **{"×": "x", "ø": "o", "Ø": "o", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ł": "l", "Ł": "l"},
    **{"đ": "d", "Đ": "d", "ð": "d", "Ð": "d", "þ": "th", "Þ": "th", "ı": "i", "İ": "i", "½": "1/2", "¼": "1/4"},
}


class _Table(dict[int, str]):
    """A character's normal spelling, worked out when it first comes."""

    def __missing__(self, code: int) -> str:
        value = chr(code)
        for _ in range(4):  # until it changes no more
            changed = "".join(map(_plain, value))
            if changed == value:
                break
            value = changed
        self[code] = value
        return value


def _plain(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    if character < "\x80":
        return character.lower()
    if "\u3400" <= character <= "\u9fff" or character >= "\U00020000":
        return simplified(character)
    if "\u0300" <= character <= "\u036f":
        return ""
    category = unicodedata.category(character)
    if category[0] == "Z":
        return " "
    if category[0] == "C":
        return ""
    parts = unicodedata.normalize("NFKD", character)
    if parts[0] < "\u0250":  # Latin: the letter without its accents
        return "".join(part for part in parts if not unicodedata.combining(part)).casefold()
    return unicodedata.normalize("NFKC", character).casefold()


_TABLE = _Table()

_UNITS = {
    "in": ["inch", "inches", "in", '"', "''", "英寸", "吋"],
    "ft": ["ft", "feet", "foot"],
    "mm": ["mm", "millimeter", "millimeters", "millimetre", "millimetres", "毫米"],
    "cm": ["cm", "centimeter", "centimeters", "centimetre", "centimetres", "厘米", "公分"],
    "m": ["m", "meter", "meters", "metre", "metres", "米"],
    "ml": ["ml", "milliliter", "milliliters", "millilitre", "millilitres", "毫升"],
    "l": ["l", "liter", "liters", "litre", "litres", "升"],
    "oz": ["oz", "ounce", "ounces", "盎司"],
    "mg": ["mg", "毫克"],
    "g": ["g", "gram", "grams", "克"],
    "kg": ["kg", "kgs", "kilo", "kilos", "kilogram", "kilograms", "千克", "公斤"],
    "lb": ["lb", "lbs", "pound", "pounds"],
    "mb": ["mb"],
    "gb": ["gb", "gigabyte", "gigabytes"],
    "tb": ["tb", "terabyte", "terabytes"],
    "mah": ["mah", "毫安", "毫安时"],
    "w": ["w", "watt", "watts", "瓦"],
    "kw": ["kw", "千瓦"],
    "v": ["v", "volt", "volts", "伏"],
    "hz": ["hz", "赫兹"],
    "mhz": ["mhz"],
    "ghz": ["ghz"],
    "mp": ["mp", "megapixel", "megapixels", "万像素"],
    "dpi": ["dpi"],
    "rpm": ["rpm"],
    "pcs": ["pcs", "pc", "pieces", "pack", "packs", "片", "件", "只", "个", "包", "抽", "支", "卷"],
}
_UNIT = {spelling: unit for unit, spellings in _UNITS.items() for spelling in spellings}
_SPELLINGS = "|".join(re.escape(s) for s in sorted(_UNIT, key=lambda s: (-len(s), s))).replace(
    "|in|", r"|in(?![ -]\d)|"
)
_LETTER = rf"[^\W_{HAN}]"
_NUMBER = r"\d+(?:[.,]\d+)*"
_MIXED = ("t恤", "u盘", "k歌", "u型枕")  # words of both scripts
_CHUNK = re.compile(
    rf"{'|'.join(_MIXED)}"
    rf"|\d+ ?x ?\d+(?: ?x ?\d+)?(?![^\W_])"
    rf"|(?<!\w)(?<![\d.,]){_NUMBER}[ -]?(?:{_SPELLINGS})(?![^\W_{HAN}])"
    rf"|(?<![^\W_{HAN}]){_NUMBER}(?![^\W{HAN}]|['&.+-]{_LETTER})"
    rf"|{_LETTER}+(?:['&.+-]{_LETTER}+)*"
    rf"|[{HAN}]+"
)
_MEASURE = re.compile(rf"({_NUMBER})[ -]?({_SPELLINGS})")
_SIZES = re.compile(r"\d+(?: ?x ?\d+){1,2}")
_PART = re.compile(rf"\d+(?:[.,]\d+)+|{_LETTER}+")
_PIECE = re.compile(r"\d+|[^\W\d_]+")
_IS_HAN = re.compile(f"[{HAN}]")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")

#: Plurals that no suffix rule reaches.
_IRREGULAR = {
    "men": "man",
    "mens": "man",
    "womens": "woman",
    "childrens": "child",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "feet": "foot",
    "teeth": "tooth",
    "knives": "knife",
    "shelves": "shelf",
    "scarves": "scarf",
    "leaves": "leaf",
    "loaves": "loaf",
    "wives": "wife",
    "people": "person",
    "geese": "goose",
    "jewellery": "jewelry",
    "colour": "color",
    "colours": "color",
    "grey": "gray",
    "tyre": "tire",
    "tyres": "tire",
    "aluminium": "aluminum",
    "pyjamas": "pajamas",
}

_Span = tuple[str, int, int]


class Analyzer:
    """Terms of products and of queries. `terms`: the catalogue's own brands and words, for Chinese segments."""

    def __init__(self, terms: Iterable[str] = ()) -> None:
        self._segmenter = Segmenter(map(normal, terms))
        self._stemmer = Stemmer.Stemmer("english")
        self._stems: dict[str, str] = {}
        self._spans_of: dict[str, tuple[_Span, ...]] = {}
        self._terms_of: dict[str, tuple[str, ...]] = {}

    def stem(self, word: str) -> str:
        """A normalised word without its ending: headphones and headphone are headphon."""
        stem = self._stems.get(word)
        if stem is None:
            plain = word[:-2] if word.endswith("'s") else word.rstrip("'")
            stem = plain
            if plain.isascii() and plain.isalpha() and len(plain) > 2:
                stem = self._stemmer.stemWord(_IRREGULAR.get(plain, plain))
            if len(self._stems) < _CACHE:
                self._stems[word] = stem
        return stem

    def tokens(self, text: str) -> list[Token]:
        """Every index term of `text`, overlapping ones too, by where they start in `text` as it was given."""
        spelled, starts, ends = _spelled(text)
        spans = []
        before: re.Match[str] | None = None
        for match in _CHUNK.finditer(spelled):
            at = match.start()
            if before is not None and _model_number(before[0], match[0]):
                spans.append((before[0] + match[0], before.start(), match.end()))
            spans += [(term, at + start, at + end) for term, start, end in self._spans(match[0])]
            before = match
        if starts is None:
            return [Token(*span) for span in spans]
        return [Token(term, starts[start], ends[end - 1]) for term, start, end in spans]

    def terms(self, text: str) -> list[str]:
        """`tokens` without offsets, several times as fast: what an index is filled with."""
        out: list[str] = []
        known = self._terms_of
        before = ""
        for chunk in _CHUNK.findall(text.lower() if text.isascii() else text.translate(_TABLE)):
            if before and _model_number(before, chunk):
                out.append(before + chunk)
            terms = known.get(chunk)
            if terms is None:
                terms = tuple(term for term, _, _ in self._spans(chunk))
                if len(known) < _CACHE:
                    known[chunk] = terms
            out += terms
            before = chunk
        return out

    def forms(self, text: str) -> list[tuple[str, ...]]:
        """Of a query: an entry for each thing wanted, with the index terms any of which is it, best first."""
        spelled = normal(text)
        wanted: list[tuple[str, ...]] = []
        plain: list[tuple[int, str]] = []  # (entry, word): words that may be one with their neighbour
        for chunk in _CHUNK.findall(spelled):
            if _IS_HAN.match(chunk):
                wanted += self._han_forms(chunk)
                continue
            measure = _MEASURE.fullmatch(chunk)
            spans = self._spans(chunk)
            terms = list(dict.fromkeys(term for term, _, _ in spans))
            if measure:
                wanted.append(tuple(terms[:2]))
            elif len(terms) == 1:
                if "'" not in chunk:
                    plain.append((len(wanted), chunk))
                wanted.append((terms[0],))
            else:  # whole, or each of its parts
                wanted += [(terms[0], part) for part in terms[1:]]
        for (here, word), (there, after) in itertools.pairwise(plain):
            if there == here + 1 and word not in STOP_WORDS and after not in STOP_WORDS and len(word + after) < 30:
                joined = self.stem(word + after)
                wanted[here] += (joined,)
                wanted[there] += (joined,)
        content = [forms for forms in wanted if forms[0] not in STOP_WORDS]
        return list(dict.fromkeys(content or wanted))

    def phrases(self, text: str) -> list[tuple[str, ...]]:
        """Chinese words of `text`, alone and in twos and threes as they follow one another."""
        spelled = normal(text)
        phrases: list[tuple[str, ...]] = []
        for run in _CHUNK.findall(spelled):
            if _IS_HAN.match(run):
                words = self._segmenter.words(run[:_MAX_RUN])
                phrases += [tuple(words[at : at + n]) for n in (1, 2, 3) for at in range(len(words) - n + 1)]
                phrases += [(part,) for word in words for part in self._segmenter.parts(word) if len(word) > 2]
        return phrases

    def latin(self, text: str) -> list[str]:
        """Pinyin of Chinese `text`: words and neighbouring words, spelled out and by initials, each once."""
        spellings: dict[str, None] = {}
        for words in self.phrases(text):
            spoken = [s for word in words for s in syllables(word)]
            if spoken:
                spellings["".join(spoken)] = None
                if len(spoken) > 1:
                    spellings["".join(s[0] for s in spoken)] = None
        return list(spellings)

    def _spans(self, chunk: str) -> tuple[_Span, ...]:
        """Terms of one chunk with offsets in it; the whole first."""
        spans = self._spans_of.get(chunk)
        if spans is None:
            spans = tuple(self._analysed(chunk))
            if len(self._spans_of) < _CACHE:
                self._spans_of[chunk] = spans
        return spans

    def _analysed(self, chunk: str) -> Iterator[_Span]:
        if _IS_HAN.match(chunk):
            for at in range(0, len(chunk), _MAX_RUN):
                run = chunk[at : at + _MAX_RUN]
                for start, end in self._segmenter.spans(run):
                    yield run[start:end], at + start, at + end
            return
        size = len(chunk)
        if chunk in _MIXED:
            yield chunk, 0, size
            return
        if chunk.isascii() and chunk.isalpha():
            yield self.stem(chunk), 0, size
            return
        if match := _MEASURE.fullmatch(chunk):
            number, spelling = match.groups()
            yield _number(number) + _UNIT[spelling], 0, size
            yield _number(number), 0, len(number)
            if spelling.isalpha() and len(spelling) > 2:
                yield self.stem(spelling), match.start(2), size
            return
        if _SIZES.fullmatch(chunk):
            yield chunk.replace(" ", ""), 0, size
            for part in _PIECE.finditer(chunk):
                if part[0] != "x":
                    yield part[0], *part.span()
            return
        if chunk[0].isdigit() and re.fullmatch(_NUMBER, chunk):
            yield _number(chunk), 0, size
            return
        end = size
        if chunk.endswith("'s"):
            chunk, end = chunk[:-2], size - 2
        parts = list(_PART.finditer(chunk))
        seen = set()
        whole = self.stem("".join(_number(part[0]) for part in parts)) if parts else chunk
        yield whole, 0, size
        seen.add(whole)
        for part in parts:
            term = self.stem(_number(part[0]))
            pieces = [(term, *part.span())]
            if not part[0].isalpha() and "." not in part[0]:
                pieces += [
                    (self.stem(piece[0]), part.start() + piece.start(), part.start() + piece.end())
                    for piece in _PIECE.finditer(part[0])
                    if len(piece[0]) > 1
                ]
            for term, start, stop in pieces:
                if term not in seen:
                    seen.add(term)
                    yield term, start, min(stop, end)

    def _han_forms(self, run: str) -> list[tuple[str, ...]]:
        wanted: list[tuple[str, ...]] = []
        for word in self._segmenter.words(run[:_MAX_RUN]):
            here = mainland(word)
            names = (word,) if here == word else (here, word)
            parts = self._segmenter.parts(here)
            if len(parts) == 1:
                wanted.append(names)
            else:
                wanted += [(*names, part) for part in parts]
        return wanted


def _number(text: str) -> str:
    """A number without thousands' commas, its decimal comma a point."""
    if "," not in text:
        return text
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text.replace(",", ".")


def _model_number(letters: str, digits: str) -> bool:
    """Whether two neighbours are one model number written apart: TN 2110."""
    return digits.isdigit() and 3 <= len(digits) <= 6 and len(letters) <= 3 and letters.isalpha() and letters.isascii()


def _spelled(text: str) -> tuple[str, list[int] | None, list[int]]:
    """The text in one spelling, and for each of its characters where the original character starts and ends."""
    if text.isascii():
        return text.lower(), None, []
    pieces = [_TABLE[ord(character)] for character in text]
    spelled = "".join(pieces)
    if all(len(piece) == 1 for piece in pieces):
        return spelled, None, []
    starts = [at for at, piece in enumerate(pieces) for _ in piece]
    return spelled, starts, [at + 1 for at in starts]
