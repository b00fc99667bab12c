"""Filters of an answer, checked when made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shelfwise.errors import InvalidRequest
from shelfwise.schema import MAX_ID, MAX_TITLE, SELLS, Availability

MAX_VALUES = 1_000  # entries of one filter
#: Facets that are no attributes.
FACETS = ("brand", "category", "price", "availability")
MAX_FACETS = 50

Value = str | float | bool
Range = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """What an answer may contain. Raises InvalidRequest.

    availability: allowed states, by default what sells (SELLS); None allows all.
    categories:   paths as in `product_type`; a product passes in one of them or below it. Letter case is ignored.
    brands:       names; letter case is ignored.
    price_min, price_max: inclusive, in the catalogue's currency; products without a price fail either.
    exclude:      product ids that must not be shown; unknown ones are ignored.
    """

    availability: tuple[Availability, ...] | None = SELLS
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, limit in (("categories", MAX_TITLE), ("brands", MAX_TITLE), ("exclude", MAX_ID)):
            _set(self, name, texts(name, getattr(self, name), limit))
        if self.availability is not None:
            try:
                _set(self, "availability", tuple(Availability(str(kind)) for kind in _texts_of(self.availability)))
            except ValueError:
                raise InvalidRequest(
                    "availability", f"use some of {', '.join(Availability)}, or none for all"
                ) from None
        for name in ("price_min", "price_max"):
            price = getattr(self, name)
            if price is None:
                continue
            if isinstance(price, bool) or not isinstance(price, int | float) or not math.isfinite(price) or price < 0:
                raise InvalidRequest(name, f"must be a number of at least 0, not {price!r}")
        if self.price_min is not None and self.price_max is not None and self.price_min > self.price_max:
            raise InvalidRequest("price_min", f"is above price_max ({self.price_min:g} > {self.price_max:g})")

    @property
    def narrow(self) -> bool:
        """Do they leave only a part of the catalogue, so that candidates must be sought inside it?"""
        return bool(self.categories or self.brands or self.price_min is not None or self.price_max is not None)

    def shared(self) -> Filters:
        """The same for everybody, so that what matches can be remembered."""
        return replace(self, exclude=()) if self.exclude else self


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchFilters(Filters):
    """What an answer may contain. Raises InvalidRequest.

    attributes: name → values, any of which will do; letter case is ignored.
    ranges:     name of a numeric attribute → (lowest, highest), inclusive, None for no bound.
    """

    attributes: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # slots=True makes a new class: super() without arguments would look for the old one.
        Filters.__post_init__(self)
        if not isinstance(self.attributes, Mapping) or len(self.attributes) > MAX_FACETS:
            raise InvalidRequest("attributes", f"must map at most {MAX_FACETS} names to lists of values")
        if not isinstance(self.ranges, Mapping) or len(self.ranges) > MAX_FACETS:
            raise InvalidRequest("ranges", f"must map at most {MAX_FACETS} names to pairs of numbers")
        object.__setattr__(self, "attributes", {_name(n): _values(n, v) for n, v in self.attributes.items()})
        object.__setattr__(self, "ranges", {_name(n): _range(n, v) for n, v in self.ranges.items()})

    def __hash__(self) -> int:
        return hash((self.availability, self.categories, self.brands, self.price_min, self.price_max, self.exclude))

    @property
    def narrow(self) -> bool:
        """Do they leave only a part of the catalogue, so that candidates must be sought inside it?"""
        return bool(
            self.categories
            or self.brands
            or self.attributes
            or self.ranges
            or self.price_min is not None
            or self.price_max is not None
        )


def _set(filters: Filters, name: str, value: object) -> None:
    object.__setattr__(filters, name, value)


def _texts_of(values: object) -> tuple[object, ...]:
    if isinstance(values, str) or not isinstance(values, list | tuple | set | frozenset):
        raise ValueError
    return tuple(values)


def texts(name: str, values: object, limit: int) -> tuple[str, ...]:
    """A list of texts of at most `limit` characters. Raises InvalidRequest."""
    try:
        checked = _texts_of(values)
    except ValueError:
        raise InvalidRequest(name, "must be a list of texts") from None
    if len(checked) > MAX_VALUES:
        raise InvalidRequest(name, f"has {len(checked)} entries; at most {MAX_VALUES} are allowed")
    for value in checked:
        if not isinstance(value, str) or not value or len(value) > limit:
            raise InvalidRequest(name, f"must hold texts of 1 to {limit} characters")
    return tuple(str(value) for value in checked)


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID:
        raise InvalidRequest("attributes", f"names must be texts of 1 to {MAX_ID} characters")
    return name


def _values(name: str, values: object) -> tuple[Value, ...]:
    several = (values,) if isinstance(values, str | int | float | bool) else values
    if not isinstance(several, list | tuple | set | frozenset) or not 0 < len(several) <= 1_000:
        raise InvalidRequest(f"attributes.{name}", "must be a list of 1 to 1000 values")
    if not all(isinstance(value, str | int | float | bool) for value in several):
        raise InvalidRequest(f"attributes.{name}", "must hold texts, numbers, true or false")
    return tuple(several)


def _range(name: str, pair: object) -> Range:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise InvalidRequest(f"ranges.{name}", "must be a pair: lowest, highest; null for no bound")
    for bound in pair:
        if bound is not None and (
            isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound)
        ):
            raise InvalidRequest(f"ranges.{name}", f"must hold finite numbers, not {bound!r}")
    low, high = pair
    if low is not None and high is not None and low > high:
        raise InvalidRequest(f"ranges.{name}", f"starts above its end ({low:g} > {high:g})")
    return low, high
