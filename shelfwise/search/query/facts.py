"""What a catalogue says of itself, and its phrases that a query may name: brands, categories, attributes' values."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shelfwise.schema import Product
from shelfwise.search.query.chinese import HAN
from shelfwise.search.query.synonyms import Phrases
from shelfwise.search.query.text import STOP_WORDS, normal

MAX_VALUES = 200_000  # values of attributes that are recognised
MAX_VALUE = 40  # characters of a value that may be recognised
MANY = 1_000  # different values from which an attribute is a text, not a property
FILLED = 0.8  # share of the products that must have a field before a word of it may filter

#: Colours, each with its names; the first names it in chips.
_COLOURS = """
black 黑色 黑|white 白色 白|red 红色 红|blue 蓝色|green 绿色 绿|yellow 黄色
orange 橙色 橘色|purple 紫色 violet
pink 粉色 粉红色 粉红
grey gray 灰色 灰|brown 棕色 咖啡色 褐色|silver 银色|gold 金色 golden|beige 米色 杏色
navy 藏青色 深蓝色 藏蓝色|turquoise 青色 cyan
multicolour multicolor 彩色 多色|transparent 透明|magenta 洋红色
"""
COLOUR_OF = {name: group.split() for group in _COLOURS.replace("\n", "|").split("|") for name in group.split()}
#: Values that say nothing by themselves.
_NOTHING = """
yes no none other any all type standard basic normal various unknown supported original new used not n/a na null true
false
set pack unit default full half single home top high low medium small large 是 否 有 无 其他 不支持 支持
"""
EMPTY = frozenset(_NOTHING.split())


@dataclass(slots=True)
class Facts:
    """What the catalogue says: how many products have each brand, category path and value of each text attribute, and
    the prices (ascending) of all products ("") and of each category path.

    titles: how many titles hold a (normal) word, by which a brand is told from a word like any other.
    """

    products: int = 0
    brands: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    attributes: dict[str, Counter[str]] = field(default_factory=dict)
    prices: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    titles: Callable[[str], int] | None = None

    @classmethod
    def of(cls, products: Iterable[Product], titles: Callable[[str], int] | None = None) -> Facts:
        facts = cls(titles=titles)
        prices: dict[str, list[float]] = defaultdict(list)
        attributes: dict[str, Counter[str]] = defaultdict(Counter)
        for product in products:
            facts.products += 1
            if product.brand:
                facts.brands[product.brand] += 1
            if product.product_type:
                facts.categories[product.product_type] += 1
            if product.price is not None:
                for path in {"", product.product_type}:
                    prices[path].append(product.price)
            for name, value in product.attributes.items():
                if isinstance(value, str) and len(value) <= MAX_VALUE:
                    attributes[name][value] += 1
        facts.attributes = dict(attributes)
        facts.prices = {path: np.sort(np.array(each)) for path, each in prices.items()}
        return facts

    def quantile(self, categories: Collection[str], share: float) -> float | None:
        """The price below which that share of the products of these category paths lies; None when unknown."""
        held = [self.prices[path] for path in categories if path in self.prices]
        return float(np.quantile(np.concatenate(held), share)) if held else None


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a phrase is taken for. count: products that have it. sure: may it filter?"""

    kind: str
    field: str
    values: tuple[str, ...]
    count: int
    sure: bool


def recognised(facts: Facts) -> dict[str, Recognised]:
    """Every phrase of the catalogue that is recognised, and the one thing it is taken for."""
    # A brand before a category before an attribute: the last one said of a phrase holds.
    return dict((*_attribute_values(facts), *_category_values(facts), *_brand_values(facts)))


def _attribute_values(facts: Facts) -> Iterator[tuple[str, Recognised]]:
    said: dict[tuple[str, ...], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    total = 0
    for name, counted in facts.attributes.items():
        if len(counted) > MANY:
            continue
        for value, count in counted.items():
            plain = normal(value)
            if len(value) > MAX_VALUE or plain in EMPTY or plain in STOP_WORDS or len(plain.split()) > 4:
                continue
            if sum(c.isalpha() for c in plain) < (1 if re.match(f"[{HAN}]", plain) else 3) or "," in plain:
                continue
            total += 1
            if total > MAX_VALUES:
                break
            spoken = COLOUR_OF.get(plain, [plain]) if is_colour(name) else [plain]
            for phrase in spoken:
                said[Phrases.key(phrase)][name][value] += count
    for key, by_name in said.items():
        if not key:
            continue
        counts = {name: counted.total() for name, counted in by_name.items()}
        colours = [name for name in counts if is_colour(name)]
        if colours:
            best = max(colours, key=lambda name: (facts.attributes[name].total(), name))
        else:
            best = max(counts, key=lambda name: (counts[name], name))
        said_by = facts.titles(key[0]) if facts.titles is not None and len(key) == 1 and not colours else 0
        if counts[best] < said_by / 2:
            continue  # most that say the word do not have the property: "printer" is what a cable suits
        if not is_colour(best) and (counts[best] < 0.6 * sum(counts.values()) or counts[best] < 3):
            continue
        if counts[best] > 0.5 * facts.products:  # what most products are tells nothing
            continue
        filled = facts.attributes[best].total() / max(1, facts.products)
        values = tuple(value for value, _ in by_name[best].most_common())
        sure = filled >= FILLED and len(counts) == 1
        yield " ".join(key), Recognised("attribute", best, values, counts[best], sure)


def _category_values(facts: Facts) -> Iterator[tuple[str, Recognised]]:
    paths: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for path, count in facts.categories.items():
        for level in path.split(" > "):
            for phrase in {level, *re.split(r"\s*[&/,]\s*|\s+and\s+", level)}:
                key = Phrases.key(phrase)
                if key and len("".join(key)) > 1 and normal(phrase) not in EMPTY:
                    paths[key][path] += count
    for key, counted in paths.items():
        yield (
            " ".join(key),
            Recognised("category", "category", tuple(p for p, _ in counted.most_common(200)), counted.total(), False),
        )


def _brand_values(facts: Facts) -> Iterator[tuple[str, Recognised]]:
    filled = facts.brands.total() / max(1, facts.products)
    spoken: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for brand, count in facts.brands.items():
        plain = normal(brand)
        names = {plain, re.sub(r"\.(?:com|net|de|co\.uk)$", "", plain)}
        names |= {part for part in re.split(r"\s*[/|()（）]\s*", plain) if len(part) > 1}
        for name in names:
            key = Phrases.key(name)
            if key and len("".join(key)) > 1 and name not in EMPTY and name not in STOP_WORDS and not name.isdecimal():
                spoken[key][brand] += count
    for key, counted in spoken.items():
        count = counted.total()
        word = " ".join(key)
        elsewhere = facts.titles(word) if facts.titles is not None and len(key) == 1 else 2 * count
        # Others' titles name it too ("case for …"): then the word is only a hint.
        sure = filled >= FILLED and len(counted) == 1 and len(word) > 2 and elsewhere <= 1.15 * count + 1
        yield word, Recognised("brand", "brand", tuple(b for b, _ in counted.most_common()), count, sure)


def is_colour(name: str) -> bool:
    return re.search(r"colou?r|颜色", name.casefold()) is not None
