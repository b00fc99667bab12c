"""What the shop window's pages show: one declared dataclass a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

from shelfwise.engine.search.request import Facet, SearchAnswer
from shelfwise.engine.search.suggest import Suggestion
from shelfwise.schema import Event, Product
from shelfwise.serve.web.visiting import Persona


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A product on a page, with why it is there. title: parted into (text, is it what was searched for?)."""

    product: Product
    title: tuple[tuple[str, bool], ...]
    reason: str = ""
    score: float = 0.0
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """name: a key of the texts. answer: the id of the engine's answer, "" for none."""

    name: str
    products: tuple[Shown, ...]
    answer: str = ""


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
    products: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPage:
    """undo: ids of chips taken away. category: the one narrowed to."""

    template: ClassVar[str] = "window/search.html"
    frame: Frame
    answer: SearchAnswer
    found: tuple[Shown, ...]
    categories: Facet | None
    category: str
    undo: tuple[str, ...]
    later: bool

    def without(self, chip: str) -> str:
        """The address of the same search without one of the things read from its query."""
        asked = [("q", self.frame.query), ("category", self.category), *(("undo", id) for id in (*self.undo, chip))]
        return f"/search?{urlencode([pair for pair in asked if pair[1]])}"


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
    """found: what looks like the photo that was sent. wrong: why it cannot be looked at."""

    template: ClassVar[str] = "window/photo.html"
    frame: Frame
    found: tuple[Shown, ...] = ()
    wrong: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPage:
    """What a visitor has not bought yet."""

    template: ClassVar[str] = "window/new.html"
    frame: Frame
    row: Row | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WhyPage:
    """What a visitor did with a product or with ones near it, newest first: (event, title)."""

    template: ClassVar[str] = "window/why.html"
    behind: tuple[tuple[Event, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestions:
    template: ClassVar[str] = "window/suggest.html"
    found: tuple[Suggestion, ...]
