"""Parsing a query: what in it is a price, a brand, a category, a colour, a size, an audience, a refusal or an order.

What is read becomes an `Intent` with a chip that the answer shows and the caller may undo. Only what was said in so
many words filters (a price with its bound, a refusal, a size, stock) or what cannot be mistaken: a value of one field
alone that nearly every product has filled. All else only boosts. Numbers that have a unit, belong to a model or
come without a word of price are left in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

import numpy as np
import rjieba

from shelfwise.search.plan import Intent, QueryPlan
from shelfwise.search.query.facts import Facts, Recognised, recognised
from shelfwise.search.query.patterns import (
    AUDIENCES,
    CHEAP,
    CHINESE_AUDIENCE,
    DEAR,
    FOR,
    LABELS,
    LETTERED,
    PRICES,
    REFUSED,
    RELATIVE,
    SIZE,
    SORTS,
    STOCK,
)
from shelfwise.search.query.synonyms import Phrases, singular
from shelfwise.search.query.text import STOP_WORDS, normal
from shelfwise.search.request import Chip


class Parser:
    """Parses queries by the facts of a catalogue. Immutable: make a new one when the catalogue has changed much."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        everything = facts.prices.get("", np.zeros(0))
        self._range = (float(everything[0]), float(everything[-1])) if len(everything) else (0.0, math.inf)
        self._phrases: Phrases[Recognised] = Phrases(recognised(facts))
        self._sizes: dict[str, tuple[str, list[str]]] = {}
        self._audiences: dict[str, list[str]] = {}
        for name, counted in facts.attributes.items():
            plain = normal(name).replace("_", " ")
            if re.search(r"\bsize\b|尺码|尺寸|鞋码", plain):
                for value in counted:
                    self._sizes.setdefault(normal(value), (name, []))[1].append(value)
            if re.search(r"gender|age group|audience|性别|适用人群|人群", plain):
                self._audiences[name] = list(counted)

    def parse(self, query: str, undo: Collection[str] = (), language: str = "en") -> QueryPlan:
        """The plan of a query before spelling and synonyms.

        undo: ids of chips not to apply; their words are then words like any other."""
        text = normal(query)
        scan = _Scan(text, frozenset(undo), LABELS["zh" if language == "zh" else "en"])
        sort = self._order(scan)
        self._prices(scan)
        if match := STOCK.search(scan.left):
            scan.take(
                match, "availability", "availability:in_stock", "stock", field="availability", values=("in_stock",)
            )
        excluded = self._refused(scan)
        self._for(scan)
        self._sized(scan)
        self._named(scan)
        self._relative(scan)
        return QueryPlan(
            text=scan.rest(),
            spoken=scan.spoken(),
            intents=tuple(scan.intents),
            excluded=tuple(excluded),
            sort=sort,
            chips=tuple(scan.chips),
        )

    def _order(self, scan: _Scan) -> str:
        for order, pattern in SORTS:
            if (match := pattern.search(scan.left)) and scan.chip(match, "sort", f"sort:{order}", order, effect="sort"):
                return order
        return ""

    def _prices(self, scan: _Scan) -> None:
        for kind, pattern in PRICES:
            match = pattern.search(scan.left)
            if match is None:
                continue
            groups = match.groupdict()
            money = any(groups.get(k) for k in ("sa", "ca", "sb", "cb"))
            low, high = (_money(groups.get(name)) for name in "ab")
            if low is not None and high is not None and high >= 1_000 > low and groups["b"].endswith("k"):
                low = low * 1_000 if low < high / 1_000 else low
            if kind.endswith("?") and not money:
                continue
            sure = True
            if kind == "range":
                assert low is not None
                assert high is not None
                worded = match[0].startswith(("between", "from"))
                if low > high or (low == high) or not (money or worded or " to " in match[0]):
                    continue
                if not money and not worded and (low % 5 or high % 5 or high < 20):
                    continue  # "24 to 27 monitor" may be inches, "windows 7 to 10" versions
            elif kind == "about":
                assert low is not None
                low, high, sure = low * 0.75, low * 1.25, False
            if not (self._plausible(low, high) or kind == "high" or money):
                continue  # but of "under 3" where nothing is so cheap that is said, and others are offered
            amounts = f"{'' if low is None else f'{low:g}'}-{'' if high is None else f'{high:g}'}"
            label = "about" if kind == "about" else "over" if high is None else "under" if low is None else None
            shown = f"{groups.get('a') or groups.get('b')}" if label else f"{low:g} - {high:g}"
            scan.take(
                match,
                "price",
                f"price:{amounts}",
                label,
                shown,
                field="price",
                low=low,
                high=high,
                effect="filter" if sure else "boost",
            )
            return

    def _plausible(self, low: float | None, high: float | None) -> bool:
        """Whether some product costs so much or so little."""
        return (high is None or high >= self._range[0]) and (low is None or low <= self._range[1])

    def _refused(self, scan: _Scan) -> list[str]:
        out: list[str] = []
        for match in list(REFUSED.finditer(scan.left)):
            start, end = match.span()
            word = match["en"]
            if word:
                both = word + (match["more"] or "")
                if match["more"] and self._phrases.get(both) is not None:
                    word = both
                else:
                    end = match.end("en")
                if word in STOP_WORDS or word in ("more", "less", "name", "longer", "one", "for"):
                    continue
            else:
                run = match["how"] + match["zh"]
                words = rjieba.cut(run)
                if match["how"] == "无" and words and words[0] != "无":  # 无线, 无糖, 无人机 are wishes, not refusals
                    continue
                rest = rjieba.cut(match["zh"])
                rest = rest[1:] if rest and rest[0] in ("的", "带", "有") else rest
                if not rest:
                    continue
                word = rest[0]
                end = match.start("zh") + match["zh"].index(word) + len(word)
                end += scan.left.startswith("的", end)
            if scan.chip((start, end), "without", f"without:{word}", "without", word):
                out.append(word)
        return out

    def _for(self, scan: _Scan) -> None:
        for match in FOR.finditer(scan.left):
            word = (match["en"] or "").removesuffix("'s")
            name = CHINESE_AUDIENCE.get(match["zh"] or "") or next(
                (
                    n
                    for n, names in AUDIENCES.items()
                    if word and (word in names.split() or singular(word) in names.split())
                ),
                "",
            )
            if not name:
                continue
            names = AUDIENCES[name].split()
            for attribute, values in self._audiences.items():
                fit = tuple(v for v in values if normal(v) in names or singular(normal(v)) in names)
                if fit:
                    self._audience(scan, match, name, attribute, fit)
                    return
            self._audience(scan, match, name, "", tuple(names))
            return

    @staticmethod
    def _audience(scan: _Scan, match: re.Match[str], name: str, attribute: str, values: tuple[str, ...]) -> None:
        shown = match["en"] or match["zh"]
        scan.take(
            match, "audience", f"for:{name}", "for", shown, effect="boost", field=attribute, values=values, keep=shown
        )

    def _sized(self, scan: _Scan) -> None:
        for pattern in (SIZE, LETTERED):
            for match in pattern.finditer(scan.left):
                size = next(group for group in match.groups() if group)
                if size in self._sizes:
                    name, values = self._sizes[size]
                    scan.take(match, "attribute", f"size:{size}", "size", size, field=name, values=tuple(values))
                    return

    def _named(self, scan: _Scan) -> None:
        """Brands, categories and values of attributes, as the catalogue has them; their words stay in the text."""
        for start, end, value in list(self._phrases.find(scan.left)):
            phrase = scan.left[start:end]
            label = f"{value.values[0].split(' > ')[-1]}"
            ident = f"{value.kind if value.kind != 'attribute' else value.field}:{normal(label)}"
            effect = "filter" if value.sure else "boost"
            keep = phrase
            if value.kind == "attribute" and phrase.isascii() != normal(label).isascii():
                keep = normal(label)  # said in the other language: look for the catalogue's own word
            scan.take(
                (start, end), value.kind, ident, None, label, effect, field=value.field, values=value.values, keep=keep
            )

    def _relative(self, scan: _Scan) -> None:
        for name, pattern in RELATIVE:
            match = pattern.search(scan.left)
            if match is None:
                continue
            categories = [path for intent in scan.intents if intent.field == "category" for path in intent.values]
            share = CHEAP if name == "cheap" else DEAR
            price = self._facts.quantile(categories, share) if categories else None
            low, high = (None, price) if name == "cheap" else (price, None)
            scan.take(
                match, "price", f"price:{name}", name, effect="boost", field="price", low=low, high=high, share=share
            )
            return


class _Scan:
    """A query while it is read: what was taken is blanked in `left`, so that offsets stay."""

    def __init__(self, text: str, undo: frozenset[str], labels: Mapping[str, str]) -> None:
        self.left = text
        self._out: list[str] = list(text)
        self._spoken: list[str] = list(text)
        self._undo = undo
        self._labels = labels
        self.intents: list[Intent] = []
        self.chips: list[Chip] = []

    def chip(
        self,
        at: re.Match[str] | tuple[int, int],
        kind: str,
        ident: str,
        label: str | None,
        shown: str = "",
        effect: str = "filter",
        keep: str = "",
    ) -> Chip | None:
        """Take the piece `at` out of the text, `keep` put in its place; None where that was undone or said twice."""
        start, end = at if isinstance(at, tuple) else at.span()
        if ident in self._undo or any(chip.id == ident for chip in self.chips):
            if ident in self._undo:  # no later rule reads the piece either
                self.left = self.left[:start] + "\0" * (end - start) + self.left[end:]
            return None
        piece = self.left[start:end].strip()
        named = self._labels[label].format(shown) if label else shown
        chip = Chip(id=ident, kind=kind, text=piece, effect=effect, label=named)
        self.chips.append(chip)
        self.left = self.left[:start] + "\0" * (end - start) + self.left[end:]
        self._out[start:end] = [f" {keep} " if keep and keep != piece else keep, *[""] * (end - start - 1)]
        if not keep:
            self._out[start] = " "
            self._spoken[start:end] = [" "] * (end - start)
        return chip

    def take(
        self,
        at: re.Match[str] | tuple[int, int],
        kind: str,
        ident: str,
        label: str | None,
        shown: str = "",
        effect: str = "filter",
        *,
        field: str,
        values: tuple[str, ...] = (),
        low: float | None = None,
        high: float | None = None,
        share: float | None = None,
        keep: str = "",
    ) -> None:
        chip = self.chip(at, kind, ident, label, shown, effect, keep)
        if chip is not None:
            self.intents.append(Intent(chip, field, values, low, high, share))

    def rest(self) -> str:
        return " ".join("".join(self._out).split())

    def spoken(self) -> str:
        return " ".join("".join(self._spoken).split())


def _money(amount: str | None) -> float | None:
    if not amount:
        return None
    plain = amount.replace(",", "").replace(" ", "")
    factor = {"k": 1e3, "千": 1e3, "万": 1e4}.get(plain[-1], 1.0)
    return float(plain.rstrip("k千万")) * factor
