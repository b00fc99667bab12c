"""Who takes part in a campaign, and with which of its offers: a regularised logistic regression on what was known
before.

It reads how recently, often and for how much a customer buys, what of the campaign's products and of their kinds, how
often below the usual price, and how they answered earlier campaigns. A dozen campaigns hold some hundred answers: trees
were no better than the regression (docs/log.md), which also gives chances as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shelfwise.errors import NotEnoughData
from shelfwise.plan.campaigns.logit import newton, sigmoid
from shelfwise.plan.campaigns.qini import Floats
from shelfwise.schema import EventType, to_micros

if TYPE_CHECKING:
    from shelfwise.store import Store

_DAY = 86_400_000_000  # microseconds
_CHEAP = 0.85  # of the product's median price: bought on offer
_STRENGTH = 3.0  # of the ridge, in customers
FEWEST = 20  # answers to earlier campaigns to learn from
_HALF_LIFE = 60  # days, of what a purchase says of an offer
WINDOWS = 3  # of the model of purchases, before the moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A campaign as it went: offers is code -> products."""

    id: str
    start: datetime
    end: datetime
    customers: tuple[str, ...]
    offers: dict[str, tuple[str, ...]]

    @property
    def products(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(product for products in self.offers.values() for product in products))


class History:
    """Purchases, campaigns and answers of a shop, in columns.

    kinds: product, kind (category path), list_price, which stands in where a purchase has no price. answers: customer,
    campaign, offer, time (microseconds).
    """

    def __init__(
        self, purchases: pl.DataFrame, kinds: pl.DataFrame, sent: Sequence[Offered], answers: pl.DataFrame
    ) -> None:
        usual = pl.col("price").median().over("product")
        paid = pl.coalesce("price", "list_price", 0.0)
        self.purchases = (
            purchases.filter(pl.col("customer") != "")
            .join(kinds, on="product", how="left")
            .with_columns(value=paid * pl.col("quantity").fill_null(1.0), cheap=pl.col("price") < _CHEAP * usual)
            .sort("time")
        )
        self.kinds = kinds
        self.sent = sorted(sent, key=lambda one: (one.start, one.id))
        self.answers = answers
        self._mailings = pl.DataFrame(
            [
                pl.Series("customer", [c for one in self.sent for c in one.customers], dtype=pl.String),
                pl.Series("start", [to_micros(one.start) for one in self.sent for _ in one.customers], dtype=pl.Int64),
            ]
        )

    def describe(self, customers: Sequence[str], products: Sequence[str], moment: datetime) -> Floats:
        """float [customers, features] as of the moment, nothing of later in it."""
        now = to_micros(moment)
        places = pl.DataFrame({"customer": list(customers)}, schema={"customer": pl.String}).with_row_index("place")
        wanted = pl.DataFrame({"product": list(products)}, schema={"product": pl.String}).unique()
        kinds = wanted.join(self.kinds, on="product").select("kind").unique()
        ago = (now - pl.col("time")) / _DAY
        mine, alike = pl.col("mine").fill_null(value=False), pl.col("alike").fill_null(value=False)
        # a basket carries one request id; where there is none, a day is a basket
        basket = (
            pl.when(pl.col("request_id") != "").then("request_id").otherwise((pl.col("time") // _DAY).cast(pl.String))
        )
        past = (
            self.purchases.filter(pl.col("time") < now)
            .join(places.select("customer"), on="customer", how="semi")
            .join(wanted.with_columns(mine=pl.lit(value=True)), on="product", how="left")
            .join(kinds.with_columns(alike=pl.lit(value=True)), on="kind", how="left")
            .with_columns(ago=ago, mine=mine, alike=alike, basket=basket)
            .group_by("customer")
            .agg(
                recency=pl.col("ago").min(),
                tenure=pl.col("ago").max(),
                baskets=pl.col("basket").n_unique(),
                baskets_30=pl.col("basket").filter(pl.col("ago") < 30).n_unique(),
                spent=pl.col("value").sum(),
                spent_30=pl.col("value").filter(pl.col("ago") < 30).sum(),
                lines=pl.len(),
                products=pl.col("product").n_unique(),
                cheap=pl.col("cheap").mean(),
                mine=pl.col("mine").sum(),
                mine_60=(pl.col("mine") & (pl.col("ago") < 60)).sum(),
                mine_products=pl.col("product").filter("mine").n_unique(),
                mine_share=pl.col("mine").mean(),
                alike_60=(pl.col("alike") & (pl.col("ago") < 60)).sum(),
                alike_share=pl.col("alike").mean(),
            )
        )
        answered = (
            self.answers.filter(pl.col("time") < now)
            .group_by("customer")
            .agg(
                answers=pl.len(),
                answered=pl.col("campaign").n_unique(),
                last_answer=((now - pl.col("time").max()) / _DAY),
            )
        )
        received = self._mailings.filter(pl.col("start") < now).group_by("customer").agg(received=pl.len())
        row = (
            places.join(past, on="customer", how="left")
            .join(answered, on="customer", how="left")
            .join(received, on="customer", how="left")
            .sort("place")
            .with_columns(pl.col("recency").fill_null(400.0), pl.col("last_answer").fill_null(500.0))
            .fill_null(0)
        )
        rate = np.log((row["answered"].to_numpy() + 0.07) / (row["received"].to_numpy() + 1) + 0.02)
        whole = ["recency", "tenure", "baskets", "baskets_30", "spent", "spent_30", "lines", "products", "mine"]
        whole += ["mine_60"]
        whole += ["mine_products", "alike_60", "answers", "answered", "last_answer", "received"]
        counted = [np.log1p(np.maximum(row[name].cast(pl.Float64).to_numpy(), 0)) for name in whole]
        shares = [row[name].cast(pl.Float64).to_numpy() for name in ("cheap", "mine_share", "alike_share")]
        size = np.full(row.height, np.log1p(wanted.height))
        return np.column_stack([*counted, *shares, rate, size])

    def answered(self, campaign: str, customers: Sequence[str], until: datetime) -> np.ndarray:
        """bool [customers]: who took part before `until`."""
        who = set(
            self.answers.filter((pl.col("campaign") == campaign) & (pl.col("time") < to_micros(until)))["customer"]
        )
        return np.array([customer in who for customer in customers], bool)

    def bought(self, customers: Sequence[str], products: Sequence[str], start: datetime, days: float) -> np.ndarray:
        """bool [customers]: who bought one of the products in the days from `start` on."""
        begin = to_micros(start)
        window = self.purchases.filter((pl.col("time") >= begin) & (pl.col("time") < begin + int(days * _DAY)))
        who = set(window.join(pl.DataFrame({"product": list(products)}), on="product", how="semi")["customer"])
        return np.array([customer in who for customer in customers], bool)

    def customers(self, before: datetime) -> list[str]:
        """Everybody who bought before, ordered."""
        return self.purchases.filter(pl.col("time") < to_micros(before))["customer"].unique().sort().to_list()


class Logistic:
    """Logistic regression with a ridge, by Newton's steps on standardised columns."""

    def __init__(self, x: Floats, y: np.ndarray, strength: float = _STRENGTH) -> None:
        self._middle, spread = x.mean(0), x.std(0)
        self._spread = np.where(spread > 1e-9, spread, 1.0)
        design = self._design(x)
        start = np.zeros(design.shape[1])
        start[0] = np.log((y.mean() + 1e-6) / (1 - y.mean() + 1e-6))
        ridge = np.append(0.0, np.full(x.shape[1], strength))
        self.weights, curve = newton(design, np.asarray(y, np.float64), ridge, start)
        inverse = np.linalg.inv(curve)
        self._covariance = (inverse + inverse.T) / 2 + 1e-12 * np.eye(len(curve))

    def chance(self, x: Floats) -> Floats:
        return sigmoid(self._design(x) @ self.weights)

    def draws(self, x: Floats, n: int, seed: int = 0) -> Floats:
        """float [n, rows]: chances under weights drawn from their posterior (Laplace's approximation)."""
        normal = np.random.default_rng(seed).standard_normal((n, len(self.weights)))
        weights = self.weights + normal @ np.linalg.cholesky(self._covariance).T
        return sigmoid(weights @ self._design(x).T)

    def _design(self, x: Floats) -> Floats:
        return np.column_stack([np.ones(len(x)), np.clip((x - self._middle) / self._spread, -8, 8)])


def read_purchases(store: Store) -> pl.DataFrame:
    """What History is made of. Raises NotEnoughData."""
    columns = ["customer", "product", "time", "quantity", "price", "request_id"]
    frames = [*store.event_frames(types=[EventType.PURCHASE], columns=columns)]
    if not frames:
        raise NotEnoughData("the record has no purchases; load events first")
    return pl.concat(frames)


@dataclass(frozen=True, slots=True)
class Response:
    """model over History.describe of these products. basis: "answers" of earlier campaigns, or "purchases" of the
    offered products within `days`; None where neither was ever seen."""

    model: Logistic | None
    basis: str
    days: float


def learn_response(history: History, products: Sequence[str], moment: datetime, days: float) -> Response:
    """Who takes part, learned from campaigns before the moment; where too few answered, who buys of the products in as
    many days, learned from windows of that length before. Raises NotEnoughData."""
    if not products:
        raise NotEnoughData("the campaign has no products; give it products or a category")
    earlier = [one for one in history.sent if one.start < moment and one.customers and one.offers]
    answers = [history.answered(one.id, one.customers, moment) for one in earlier]
    if sum(int(one.sum()) for one in answers) >= FEWEST:
        known = np.vstack([history.describe(one.customers, one.products, one.start) for one in earlier])
        return Response(Logistic(known, np.concatenate(answers)), "answers", days)
    return learn_purchases(history, products, moment, days)


def learn_purchases(history: History, products: Sequence[str], moment: datetime, days: float) -> Response:
    """Who buys of the products in as many days, learned from windows of that length before."""
    rows, bought = [], []
    for window in range(1, WINDOWS + 1):
        start = moment - timedelta(days=days * window)
        if people := history.customers(start):
            rows.append(history.describe(people, products, start))
            bought.append(history.bought(people, products, start, days))
    if sum(int(one.sum()) for one in bought) == 0:
        return Response(None, "purchases", days)
    return Response(Logistic(np.vstack(rows), np.concatenate(bought)), "purchases", days)


def describe_offers(
    history: History, customers: Sequence[str], offers: dict[str, tuple[str, ...]], moment: datetime
) -> Floats:
    """float [customers, offers, 4], logarithms: own purchases, those of their kinds lately, everybody's lately, the
    number of products."""
    now, codes = to_micros(moment), list(offers)
    owned = pl.DataFrame(
        {
            "code": [place for place, code in enumerate(codes) for _ in offers[code]],
            "product": [product for code in codes for product in offers[code]],
        },
        schema={"code": pl.Int64, "product": pl.String},
    )
    kinds = owned.join(history.kinds, on="product").select("code", "kind").unique()
    past = history.purchases.filter(pl.col("time") < now).with_columns(
        fresh=0.5 ** ((now - pl.col("time")) / _DAY / _HALF_LIFE)
    )
    places = pl.DataFrame({"customer": list(customers)}, schema={"customer": pl.String}).with_row_index("place")
    own = past.join(places, on="customer")
    out = np.zeros((len(customers), len(codes), 4))
    direct = own.join(owned, on="product").group_by("place", "code").agg(pl.len())
    out[direct["place"].to_numpy(), direct["code"].to_numpy(), 0] = direct["len"]
    by_kind = own.group_by("place", "kind").agg(pl.col("fresh").sum())
    alike = by_kind.join(kinds, on="kind").group_by("place", "code").agg(pl.col("fresh").sum())
    out[alike["place"].to_numpy(), alike["code"].to_numpy(), 1] = alike["fresh"]
    everybody = past.group_by("product").agg(pl.col("fresh").sum()).join(owned, on="product")
    popular = everybody.group_by("code").agg(pl.col("fresh").sum())
    out[:, popular["code"].to_numpy(), 2] = popular["fresh"].to_numpy()[None]
    out[:, :, 3] = np.array([len(offers[code]) for code in codes])[None]
    return np.log1p(out)


def offer_scores(
    history: History, customers: Sequence[str], offers: dict[str, tuple[str, ...]], moment: datetime
) -> Floats:
    """float [customers, offers]: which offer a customer takes: by own purchases of its products, then of their kinds,
    then by what everybody buys. A regression on the same was worse (docs/log.md)."""
    own, alike, popular, _ = np.moveaxis(describe_offers(history, customers, offers, moment), 2, 0)
    return np.asarray(own + 0.1 * alike + 0.01 * popular)
