"""Reading a query: what in it is a price, a brand, a category, a colour, a size, a wish, a refusal or an order.

What is read becomes a `Want` with a chip that the answer shows and the caller may undo. Only what was said in so many
words filters (a price with its bound, a refusal, a size, stock) or what cannot be mistaken: a value of one field alone
that nearly every product has filled. All else only boosts. Numbers that have a unit, belong to a model or
come without a word of price are left in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import rjieba

from shelfwise.search.query.chinese import HAN
from shelfwise.search.query.facts import Facts, Recognised, recognised
from shelfwise.search.query.synonyms import Phrases, singular
from shelfwise.search.query.text import STOP_WORDS, normal
from shelfwise.search.request import Chip

CHEAP, DEAR = 0.33, 0.75  # quantiles of the prices of the matching category

#: Whom a product is for, each with the words of titles and values that say so.
_AUDIENCES = {
    "kids": "kids kid children child junior toddler 儿童 童 小孩 孩子 宝宝",
    "baby": "baby babies infant newborn 婴儿 宝宝 婴幼儿",
    "boys": "boys boy 男童 男孩",
    "girls": "girls girl 女童 女孩",
    "men": "men man mens male 男士 男 男款 男式",
    "women": "women woman womens ladies female 女士 女 女款 女式",
}
_CHINESE_AUDIENCE = {"儿童": "kids", "小孩": "kids", "婴儿": "baby", "男童": "boys", "女童": "girls", "男士": "men"}
_CHINESE_AUDIENCE |= {"女士": "women", "男款": "men", "女款": "women", "孩子": "kids"}
_UNITS = (
    r"(?:\s?-?(?:inch(?:es)?|in|ins|cm|mm|m|km|ft|feet|foot|gb|tb|mb|kb|g|gr|grams?|kg|kilos?|mg|lbs?|pounds?|oz|ml|cl|l"
    r"|lit(?:er|re)s?|w|kw|watts?|v|volts?|a|amps?|va|mah|wh|hz|khz|mhz|ghz|fps|mp|megapixels?|dpi|rpm|db|lumens?|lm|k|p"
    r"|x|ply|bit|cores?|ports?|pins?|pages?|sheets?|ppm|pcs?|pieces?|packs?|people|persons?|players?|users?|hours?|hrs?|h"
    r"|min(?:ute)?s?|days?|weeks?|months?|years?|yrs?|yo|degrees?|way|outlets?|d|series|gen|plus|pro|max|mini)\b"
    r'|\s?["%°\']|\s?(?:英寸|寸|厘米|毫米|米|公斤|千克|克|斤|毫升|升|瓦|伏|毫安|岁|个|件|只|片|包|抽|支|卷|人|口|天|月|年|小时'
    r"|分钟|码|号|度|格|层|级|代|核|位|孔|页|张|双|套|瓶|盒|袋|条|g|k))"
)
_SIGN = r"(?:(?:us|hk|nt|a|c)?[$€£¥]|(?:usd|eur|gbp|rmb|cny)\s?)"
_CURRENCY = r"(?:\s?(?:dollars?|bucks|usd|euros?|eur|gbp|quid|yuan|rmb|cny|元|块钱?|人民币|美元|欧元|[$€£¥]))"


def _amount(name: str) -> str:
    number = r"(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.\d{1,2})?"
    return rf"(?P<s{name}>{_SIGN})?\s?(?P<{name}>{number}(?:\s?[千万]|k(?![a-z]))?)(?P<c{name}>{_CURRENCY})?"


_END = rf"(?![\w.,\-/]*\d)(?!{_UNITS})(?![a-z])"
_LEAST = (
    r"(?:over|above|more than|at least|greater than|higher than|no less than|not under|>=?|高于|大于|超过|不低于|至少)"
)
_MOST = (
    r"(?:under|below|less than|cheaper than|lower than|up to|at most|(?:no|not) (?:more|over) than|not over|beneath|<=?"
    r"|低于|少于|小于|不超过|最多|不到)"
)
_PRICES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("range", rf"(?<![\w.])between\s+{_amount('a')}\s*(?:and|to|-)\s*{_amount('b')}{_END}"),
        ("range", rf"(?<![a-z0-9.])(?:from\s+)?{_amount('a')}\s*(?:-|~|to|till|到|至)\s*{_amount('b')}{_END}"),
        ("high", rf"(?<![a-z0-9]){_MOST}\s*{_amount('b')}{_END}"),
        ("low", rf"(?<![a-z0-9]){_LEAST}\s*{_amount('a')}{_END}"),
        ("high?", rf"(?<![a-z0-9])(?:max(?:imum)?|within|budget(?: of)?|预算)\s*{_amount('b')}{_END}"),
        ("low?", rf"(?<![a-z0-9])(?:min(?:imum)?|from|starting (?:at|from))\s*{_amount('a')}{_END}"),
        ("high", rf"(?<![a-z0-9.]){_amount('b')}\s*(?:以下|以内|之内|之下|or less|or under|and under|or below)"),
        (
            "low",
            rf"(?<![a-z0-9.]){_amount('a')}\s*(?:以上|之上|起(?!重|动)|or more|and up|or above|and above|plus only)",
        ),
        ("about", rf"(?<![a-z0-9.]){_amount('a')}\s*(?:左右|上下|or so)"),
        (
            "about",
            rf"(?<![a-z0-9])(?:around|about|approx(?:imately)?\.?|roughly|~|大约|大概|约)\s*{_amount('a')}{_END}",
        ),
    )
)
_RELATIVE = (
    ("cheap", re.compile(r"\b(?:cheap|inexpensive|affordable|low[ -]cost|low[ -]price[d]?)\b|便宜的?|平价|实惠|低价")),
    (
        "dear",
        re.compile(r"\b(?:expensive|luxury|high[ -]end|premium quality)\b|高档|高端|奢华"),
    ),
)
_SORTS = (
    ("price", re.compile(r"\b(?:cheapest|lowest price[ds]?|least expensive)\b|最便宜的?|价格最低的?|最低价")),
    ("price_desc", re.compile(r"\b(?:most expensive|highest price[ds]?)\b|最贵的?|价格最高的?")),
    ("newest", re.compile(r"\b(?:newest|latest|new arrivals?|just in)\b|最新款?的?|新品|新到")),
    (
        "best_selling",
        re.compile(r"\b(?:best[ -]?sell(?:ing|ers?)|most popular|top[ -]selling)\b|热销的?|畅销的?|爆款|卖得最好的?"),
    ),
)
_STOCK = re.compile(r"\b(?:in stock|available now)\b|现货|有货")
_REFUSED = re.compile(
    rf"(?:\b(?:without(?: an?| any)?|excluding|except(?: for)?|but no|but not|not|no)\s+|(?<=\s)-(?=[a-z]))"
    rf"(?P<en>[^\W\d_{HAN}][^\W_{HAN}]*)(?P<more>\s[^\W\d_{HAN}][^\W_{HAN}]*)?|(?P<how>不要|不含|不带|除了|没有|无)(?P<zh>[{HAN}a-z]+)"
)
_FOR = re.compile(r"(?:\bfor (?:my |a |an |the )?(?P<en>[a-z]+(?:'s)?)\b)|(?P<zh>" + "|".join(_CHINESE_AUDIENCE) + ")")
_SIZE = re.compile(
    r"\bsize\s*:?\s*(?P<en>\d{1,3}(?:\.5)?|[2-6]?x{0,4}[sml])\b|尺码\s*(?P<zh>\d{2,3}|[2-6]?x{0,4}[sml])\b|(?<!\d)(?P<ma>\d{2,3})码"
)
_LETTERED = re.compile(r"(?<![\w.-])(?P<x>x{1,4}[sl]|[2-6]xl)(?![\w.-])")
_LABELS = {
    "en": {"under": "under {0}", "over": "over {0}", "about": "around {0}", "cheap": "low price", "dear": "high price"},
    "zh": {"under": "{0}以下", "over": "{0}以上", "about": "{0}左右", "cheap": "低价", "dear": "高价"},
}
_LABELS["en"] |= {
    "without": "without {0}",
    "for": "for {0}",
    "size": "size {0}",
    "stock": "in stock",
    "price": "cheapest",
}
_LABELS["zh"] |= {"without": "不要{0}", "for": "适合{0}", "size": "尺码{0}", "stock": "有货", "price": "最便宜"}
_LABELS["en"] |= {"price_desc": "dearest", "newest": "newest", "best_selling": "best-selling"}
_LABELS["zh"] |= {"price_desc": "最贵", "newest": "最新", "best_selling": "热销"}


@dataclass(frozen=True, slots=True)
class Want:
    """One wish of a query, as its chip shows it.

    field: price, brand, category, availability, the name of an attribute, or "" for any text of the product.
    values: any of which will do, in the catalogue's own spelling; of a category all paths.
    low, high: bounds of a price, inclusive, None for none. share: with "price" and no bounds, the quantile of the
    prices found that it means (CHEAP: at most that; DEAR: at least that).
    """

    chip: Chip
    field: str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A query, read. text: what is left to look for as words, the catalogue's own for a property said in another
    language. said: the same in the shopper's words. excluded: words no product may have (normal).
    sort: an order of request.SORTS that was asked for, else ""."""

    text: str
    said: str = ""
    wants: tuple[Want, ...] = ()
    excluded: tuple[str, ...] = ()
    sort: str = ""
    chips: tuple[Chip, ...] = ()

    @property
    def filters(self) -> tuple[Want, ...]:
        return tuple(want for want in self.wants if want.chip.effect == "filter")

    @property
    def boosts(self) -> tuple[Want, ...]:
        return tuple(want for want in self.wants if want.chip.effect == "boost")


class Reader:
    """Reads queries by the facts of a catalogue. Immutable: make a new one when the catalogue has changed much."""

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

    def read(self, query: str, undo: Collection[str] = (), language: str = "en") -> Reading:
        """The reading of a query. undo: ids of chips not to apply; their words are then words like any other."""
        text = normal(query)
        scan = _Scan(text, frozenset(undo), _LABELS["zh" if language == "zh" else "en"])
        sort = self._sorted(scan)
        self._prices(scan)
        if match := _STOCK.search(scan.left):
            scan.take(
                match, "availability", "availability:in_stock", "stock", field="availability", values=("in_stock",)
            )
        excluded = self._refused(scan)
        self._for(scan)
        self._sized(scan)
        self._named(scan)
        self._relative(scan)
        return Reading(scan.rest(), scan.said(), tuple(scan.wants), tuple(excluded), sort, tuple(scan.chips))

    def _sorted(self, scan: _Scan) -> str:
        for order, pattern in _SORTS:
            if (match := pattern.search(scan.left)) and scan.chip(match, "sort", f"sort:{order}", order, effect="sort"):
                return order
        return ""

    def _prices(self, scan: _Scan) -> None:
        for kind, pattern in _PRICES:
            match = pattern.search(scan.left)
            if match is None:
                continue
            said = match.groupdict()
            money = any(said.get(k) for k in ("sa", "ca", "sb", "cb"))
            low, high = (_money(said.get(name)) for name in "ab")
            if low is not None and high is not None and high >= 1_000 > low and said["b"].endswith("k"):
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
            if not self._plausible(low, high):
                continue
            amounts = f"{'' if low is None else f'{low:g}'}-{'' if high is None else f'{high:g}'}"
            label = "about" if kind == "about" else "over" if high is None else "under" if low is None else None
            shown = f"{said.get('a') or said.get('b')}" if label else f"{low:g} - {high:g}"
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
        for match in list(_REFUSED.finditer(scan.left)):
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
        for match in _FOR.finditer(scan.left):
            word = (match["en"] or "").removesuffix("'s")
            name = _CHINESE_AUDIENCE.get(match["zh"] or "") or next(
                (
                    n
                    for n, said in _AUDIENCES.items()
                    if word and (word in said.split() or singular(word) in said.split())
                ),
                "",
            )
            if not name:
                continue
            said = _AUDIENCES[name].split()
            for attribute, values in self._audiences.items():
                fit = tuple(v for v in values if normal(v) in said or singular(normal(v)) in said)
                if fit:
                    self._audience(scan, match, name, attribute, fit)
                    return
            self._audience(scan, match, name, "", tuple(said))
            return

    @staticmethod
    def _audience(scan: _Scan, match: re.Match[str], name: str, attribute: str, values: tuple[str, ...]) -> None:
        shown = match["en"] or match["zh"]
        scan.take(
            match, "audience", f"for:{name}", "for", shown, effect="boost", field=attribute, values=values, keep=shown
        )

    def _sized(self, scan: _Scan) -> None:
        for pattern in (_SIZE, _LETTERED):
            for match in pattern.finditer(scan.left):
                size = next(group for group in match.groups() if group)
                if size in self._sizes:
                    name, values = self._sizes[size]
                    scan.take(match, "attribute", f"size:{size}", "size", size, field=name, values=tuple(values))
                    return

    def _named(self, scan: _Scan) -> None:
        """Brands, categories and values of attributes, as the catalogue has them; their words stay in the text."""
        for start, end, value in list(self._phrases.find(scan.left)):
            said = scan.left[start:end]
            label = f"{value.values[0].split(' > ')[-1]}"
            ident = f"{value.kind if value.kind != 'attribute' else value.field}:{normal(label)}"
            effect = "filter" if value.sure else "boost"
            keep = said
            if value.kind == "attribute" and said.isascii() != normal(label).isascii():
                keep = normal(label)  # said in the other language: look for the catalogue's own word
            scan.take(
                (start, end), value.kind, ident, None, label, effect, field=value.field, values=value.values, keep=keep
            )

    def _relative(self, scan: _Scan) -> None:
        for name, pattern in _RELATIVE:
            match = pattern.search(scan.left)
            if match is None:
                continue
            categories = [path for want in scan.wants if want.field == "category" for path in want.values]
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
        self._said: list[str] = list(text)
        self._undo = undo
        self._labels = labels
        self.wants: list[Want] = []
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
        said = self.left[start:end].strip()
        named = self._labels[label].format(shown) if label else shown
        chip = Chip(id=ident, kind=kind, text=said, effect=effect, label=named)
        self.chips.append(chip)
        self.left = self.left[:start] + "\0" * (end - start) + self.left[end:]
        self._out[start:end] = [f" {keep} " if keep and keep != said else keep, *[""] * (end - start - 1)]
        if not keep:
            self._out[start] = " "
            self._said[start:end] = [" "] * (end - start)
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
            self.wants.append(Want(chip, field, values, low, high, share))

    def rest(self) -> str:
        return " ".join("".join(self._out).split())

    def said(self) -> str:
        return " ".join("".join(self._said).split())


def _money(said: str | None) -> float | None:
    if not said:
        return None
    plain = said.replace(",", "").replace(" ", "")
    factor = {"k": 1e3, "千": 1e3, "万": 1e4}.get(plain[-1], 1.0)
    return float(plain.rstrip("k千万")) * factor
