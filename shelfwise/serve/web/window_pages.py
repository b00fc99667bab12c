"""What the shop window's pages show: one declared dataclass a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlencode

from shelfwise.catalogue.facets import Facet
from shelfwise.engine.request import Because
from shelfwise.intake.values import parse_money
from shelfwise.plan.campaigns.words import Said
from shelfwise.schema import Event, Product
from shelfwise.search.request import SearchAnswer
from shelfwise.search.suggest import Suggestion
from shelfwise.serve.web.visiting import Persona


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A product on a page, with why it is there. title: parted into (text, is it what was searched for?)."""

    product: Product
    title: tuple[tuple[str, bool], ...]
    reason: str = ""
    score: float = 0.0
    sources: tuple[str, ...] = ()
    because: Because = field(default_factory=Because)

    def why(self) -> str:
        """The address that tells the events behind it."""
        options = {"product": self.product.id, "because": self.because.product, "query": self.because.query}
        return f"/why?{urlencode({name: value for name, value in options.items() if value})}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """name: a key of the texts. answer: the id of the engine's answer, "" for none."""

    name: str
    products: tuple[Shown, ...]
    answer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invited:
    """A campaign that addresses the customer. percent: of the discount, "" for none."""

    title: str
    code: str
    percent: str
    reason: Said
    products: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What every page has around it. persona: the customer looked through, "" for a visitor; personas: to choose from.
    consent: may looks be recorded (None: not said yet)? events: how many of the visitor's actions are known."""

    shop: str
    simulated: bool
    persona: str
    personas: tuple[Persona, ...]
    consent: bool | None
    cart: int
    events: int
    query: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HomePage:
    template: ClassVar[str] = "window/home.html"
    frame: Frame
    rows: tuple[Row, ...]
    invited: tuple[Invited, ...]
    products: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceRange:
    """The prices asked for, as typed: `low`, `high`, "" for no bound. wrong: the bound that is no price, "order" where
    they are the wrong way round, "" when they can be. least, most: found without asking for prices, None for none.
    bounds: what is asked for, (None, None) unless it can be."""

    low: str = ""
    high: str = ""
    wrong: str = ""
    bounds: tuple[float | None, float | None] = (None, None)
    least: float | None = None
    most: float | None = None

    @classmethod
    def read(cls, low: str, high: str, currency: str) -> PriceRange:
        """As typed, with or without a currency's sign."""
        read = [_amount(text, currency) if text else None for text in (low, high)]
        wrong = next((name for name, amount in zip(("low", "high"), read, strict=True) if amount == -1), "")
        if not wrong and read[0] is not None and read[1] is not None and read[0] > read[1]:
            wrong = "order"
        return cls(low=low, high=high, wrong=wrong, bounds=(None, None) if wrong else (read[0], read[1]))

    @property
    def narrows(self) -> bool:
        return self.bounds != (None, None)

    @property
    def offered(self) -> bool:
        """Is there anything to choose from, or something to mend?"""
        differ = self.least is not None and self.most is not None and self.least < self.most
        return differ or self.narrows or bool(self.wrong)


def _amount(text: str, currency: str) -> float:
    """-1 for what is no price."""
    money = parse_money(text, currency)
    return money[0] if money is not None and money[0] >= 0 else -1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPage:
    """undo: ids of chips taken away. category, brand, price: what is narrowed to, the price in `currency`."""

    template: ClassVar[str] = "window/search.html"
    frame: Frame
    answer: SearchAnswer
    products: tuple[Shown, ...]
    categories: Facet
    brands: Facet
    category: str
    brand: str
    price: PriceRange
    currency: str
    undo: tuple[str, ...]
    later: bool

    def params(self, *without: str) -> list[tuple[str, str]]:
        """What the address says, but for some of it: q, category, brand, undo, price."""
        said = [("q", "q", self.frame.query), ("category", "category", self.category), ("brand", "brand", self.brand)]
        said += [("undo", "undo", id) for id in self.undo]
        if self.price.narrows:
            said += [("price", "min", self.price.low), ("price", "max", self.price.high)]
        return [(name, value) for kind, name, value in said if value and kind not in without]

    def address(self, *without: str, **more: str) -> str:
        """The address of the same search without some of it, or with more."""
        return f"/search?{urlencode([*self.params(*without), *more.items()])}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductPage:
    template: ClassVar[str] = "window/product.html"
    frame: Frame
    product: Product
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CartPage:
    """done: "bought" right after."""

    template: ClassVar[str] = "window/cart.html"
    frame: Frame
    products: tuple[Shown, ...]
    total: float
    currency: str
    rows: tuple[Row, ...]
    done: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoPage:
    """products: what looks like the photo that was sent. wrong: why it cannot be looked at."""

    template: ClassVar[str] = "window/photo.html"
    frame: Frame
    products: tuple[Shown, ...] = ()
    wrong: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPage:
    """What a visitor has not bought yet."""

    template: ClassVar[str] = "window/new.html"
    frame: Frame
    row: Row | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WhyPage:
    """What a visitor did that a reason names, then what they did with the product or with ones near it, newest first:
    (event, title)."""

    template: ClassVar[str] = "window/why.html"
    behind: tuple[tuple[Event, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestions:
    template: ClassVar[str] = "window/suggest.html"
    suggestions: tuple[Suggestion, ...]
