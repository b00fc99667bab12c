"""Who to address: rules, look-alikes, a model; what each is expected to bring; a curve of profit against size.

What a contact brings is what it changes. Where customers of earlier campaigns were held out at random, the change in
the chance of buying is learned from them, and used for each customer only if its order is better than chance: else
everybody gets the mean change. Where nobody was held out, the chance of taking part stands in for it, with a warning
that it is no effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.plan.campaigns.draft import Draft, sellable
from shelfwise.plan.campaigns.learners import LEARNERS, Sample
from shelfwise.plan.campaigns.qini import Floats, effect_interval, qini
from shelfwise.plan.campaigns.response import History, Logistic, learn_purchases, learn_response, offer_scores
from shelfwise.plan.campaigns.supply import spare
from shelfwise.plan.campaigns.words import POPULAR, Said, bought
from shelfwise.schema import to_micros
from shelfwise.store import Store
from shelfwise.store.campaigns import HELD_OUT, SENT

_DRAWS = 200
_STEPS = 10  # of the curve
_CAP_DAYS = 30
_FEWEST_ARM = 100  # customers sent to and held out from which on an effect is learned
_HALVES = 6
_NAMED = 5  # products that a warning names
_SHOWN = 3  # products of an offer named for a customer
_DAY = 86_400_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """All must hold. days: bought within; away: not bought within; orders, spent: at least; category: bought of it;
    like: the customers most like these; buys_within: would buy of buys_category (the campaign's products where it is
    empty) within so many days with a chance of at least buys_chance; size: at most so many, the most profitable; pays:
    only who brings more than they cost."""

    days: int | None = None
    away: int | None = None
    orders: int | None = None
    spent: float | None = None
    category: str = ""
    like: tuple[str, ...] = ()
    buys_within: int | None = None
    buys_category: str = ""
    buys_chance: float = 0.1
    size: int | None = None
    pays: bool = True

    def __post_init__(self) -> None:
        for name in ("days", "away", "orders", "spent", "buys_within", "buys_chance", "size"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidRequest(name, f"is {value}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """people: customer, arm, response (chance), uplift (its change; null where nobody was held out before), profit
    (expected, after cost), offer, products (list), reason; the best first. summary: sizes, expectations with 95%
    intervals, why others were left out. curve: profit by size."""

    people: pl.DataFrame
    summary: dict[str, Any]
    curve: list[dict[str, float]]
    warnings: list[str]


def audience(
    store: Store, history: History, draft: Draft, rules: Rules, moment: datetime, *, margin: float = 0.3
) -> Audience:
    """Who to address with the draft's campaign. margin: the part of revenue that stays. Raises NotEnoughData."""
    warnings: list[str] = []
    offers = {code: products for code, products in sellable(store, draft.offers).items() if products}
    if not offers:
        raise NotEnoughData("no product of the campaign can be sold now: out of stock, hidden or not in the catalogue")
    lost = sorted({offer.code for offer in draft.offers} - set(offers))
    if lost:
        text = "not advertised, for none of their products can be sold: {codes}"
        warnings.append(Said("lost", text, codes=", ".join(lost)))
    stock = spare(store, history, [id for part in offers.values() for id in part], moment, draft.end)
    if gone := sorted(product for product, units in stock.items() if units < 1):
        text = "not advertised, for it runs out: {products}"
        warnings.append(Said("runs_out", text, products=_listed(gone)))
        left_over = {code: tuple(id for id in part if id not in set(gone)) for code, part in offers.items()}
        offers = {code: part for code, part in left_over.items() if part}
        if not offers:
            raise NotEnoughData("all products of the campaign run out before it ends; order more, or offer others")
    products = tuple(dict.fromkeys(product for part in offers.values() for product in part))
    everybody = history.customers(moment)
    left: dict[str, int] = {}
    people = _ruled(history, everybody, rules, moment)
    left["rules"] = len(everybody) - len(people)
    people = _allowed(store, draft, people, moment, left, warnings)
    if not people:
        return Audience(people=_nobody(), summary={"customers": 0, "left_out": left}, curve=[], warnings=warnings)
    if rules.buys_within is not None:
        chance = _would_buy(history, people, products, rules, moment)
        kept = [name for name, value in zip(people, chance, strict=True) if value >= rules.buys_chance]
        left["less likely to buy"] = len(people) - len(kept)
        people = kept
        if not people:
            summary = {"customers": 0, "left_out": {why: count for why, count in left.items() if count}}
            return Audience(people=_nobody(), summary=summary, curve=[], warnings=warnings)
    x = history.describe(people, products, moment)
    if rules.like:
        likeness = _alike(history, everybody, rules.like, products, moment)
        keep = sorted(range(len(people)), key=lambda row: -likeness.get(people[row], 0.0))[
            : rules.size or max(1, len(people) // 10)
        ]
        left["less alike"] = len(people) - len(keep)
        people, x = [people[row] for row in keep], x[keep]
    days = max(1.0, (draft.end - draft.start).total_seconds() / 86_400)
    learned = learn_response(history, products, moment, days)
    response = np.zeros(len(people)) if learned.model is None else learned.model.chance(x)
    draws = np.zeros((_DRAWS, len(people))) if learned.model is None else learned.model.draws(x, _DRAWS)
    changed, spread, basis, said = _change(history, store, x, response, moment)
    warnings += said
    order = _order_value(history, products, moment)
    discount = float(np.mean([offer.discount for offer in draft.offers]))
    handling = float(np.mean([offer.cost for offer in draft.offers]))
    gain = order * (margin - discount) if basis == "response" else order * margin
    # who would have bought anyway takes the discount too: it is paid on every answer, earned on the change only
    paid = 0.0 if basis == "response" else order * discount
    profit = changed * gain - response * (paid + handling) - draft.contact_cost
    chosen = np.argsort(-profit, kind="stable")
    if rules.pays:
        chosen = chosen[profit[chosen] > 0]
        left["cost more than they bring"] = len(people) - len(chosen)
    if rules.size is not None and len(chosen) > rules.size:
        left["beyond the size asked for"] = len(chosen) - rules.size
        chosen = chosen[: rules.size]
    if all(product in stock for product in products):  # else some can be sold without end
        wanted = np.cumsum(response[chosen]) * (1 - draft.holdout)
        served = int(np.searchsorted(wanted, sum(stock[product] for product in products), side="right"))
        if served < len(chosen):
            text = "the stock left over serves about {count} customers; no more are addressed"
            warnings.append(Said("served", text, count=served))
            left["more than the stock serves"] = len(chosen) - served
            chosen = chosen[:served]
    names = [people[row] for row in chosen]
    held = np.array([held_out(draft.id, name, draft.holdout) for name in names], bool)
    codes, shown, reasons = _choose_offers(history, names, offers, moment, store)
    frame = pl.DataFrame(
        {
            "customer": names,
            "arm": [HELD_OUT if out else SENT for out in held],
            "response": response[chosen],
            "uplift": np.full(len(chosen), np.nan) if basis == "response" else changed[chosen],
            "profit": profit[chosen],
            "offer": codes,
            "products": shown,
            "reason": reasons,
        },
        schema=_nobody().schema,
    ).with_columns(pl.col("uplift").fill_nan(None))
    random = np.random.default_rng(0)
    shift = random.standard_normal(_DRAWS) * spread  # what is not known of the mean change
    drawn = draws if basis == "response" else changed[None] + shift[:, None]
    sent = chosen[~held]
    visits = np.expm1(x[sent][:, 3]) * days / 30
    bought = random.binomial(1, np.clip(draws[:, sent], 0, 1)) if len(sent) else np.zeros((_DRAWS, 0))
    summary = {
        "customers": len(chosen),
        "sent": len(sent),
        "held_out": int(held.sum()),
        "left_out": {why: count for why, count in left.items() if count},
        "basis": basis,
        "response_from": learned.basis,
        "order_value": order,
        "visits": _figure(random.poisson(np.maximum(visits, 0)[None].repeat(_DRAWS, 0)).sum(1)),
        "purchases": _figure(bought.sum(1)),
        "revenue": _figure(bought.sum(1) * order * (1 - discount)),
        "profit": _figure((drawn[:, sent] * gain - draws[:, sent] * (paid + handling) - draft.contact_cost).sum(1)),
    }
    each = drawn * gain - draws * (paid + handling) - draft.contact_cost
    ranked = np.argsort(-profit, kind="stable")
    totals = np.cumsum(each[:, ranked], axis=1)
    sizes = sorted({max(1, round(len(people) * step / _STEPS)) for step in range(1, _STEPS + 1)})
    curve = [{"customers": float(size), **_figure(totals[:, size - 1])} for size in sizes]
    return Audience(people=frame, summary=summary, curve=curve, warnings=warnings)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" (+{len(names) - _NAMED})" if len(names) > _NAMED else "")


def _nobody() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "customer": pl.String,
            "arm": pl.String,
            "response": pl.Float64,
            "uplift": pl.Float64,
            "profit": pl.Float64,
            "offer": pl.String,
            "products": pl.List(pl.String),
            "reason": pl.String,
        }
    )


def _figure(values: np.ndarray) -> dict[str, float]:
    return {
        "value": float(np.mean(values)),
        "low": float(np.quantile(values, 0.025)),
        "high": float(np.quantile(values, 0.975)),
    }


def held_out(campaign: str, customer: str, share: float) -> bool:
    """Drawn at random, and the same whenever it is drawn again."""
    digest = hashlib.sha256(f"{campaign}\0{customer}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share


def _ruled(history: History, everybody: Sequence[str], rules: Rules, moment: datetime) -> list[str]:
    now = to_micros(moment)
    past = history.purchases.filter(pl.col("time") < now)
    facts = past.group_by("customer").agg(
        last=pl.col("time").max(), orders=pl.col("request_id").n_unique(), spent=pl.col("value").sum()
    )
    if rules.days is not None:
        facts = facts.filter(pl.col("last") >= now - rules.days * _DAY)
    if rules.away is not None:
        facts = facts.filter(pl.col("last") < now - rules.away * _DAY)
    if rules.orders is not None:
        facts = facts.filter(pl.col("orders") >= rules.orders)
    if rules.spent is not None:
        facts = facts.filter(pl.col("spent") >= rules.spent)
    if rules.category:
        inside = (pl.col("kind") == rules.category) | pl.col("kind").str.starts_with(f"{rules.category} > ")
        facts = facts.join(past.filter(inside).select("customer").unique(), on="customer", how="semi")
    kept = set(facts["customer"]) - set(rules.like)
    return [name for name in everybody if name in kept]


def _allowed(
    store: Store, draft: Draft, people: list[str], moment: datetime, left: dict[str, int], warnings: list[str]
) -> list[str]:
    """Without those who did not consent, and those addressed often enough already."""
    consents = store.campaign_record.consents()
    if consents:
        kept = [name for name in people if consents.get(name, False)]
        left["no consent"] = len(people) - len(kept)
        people = kept
    else:
        text = "no consents are recorded, so everybody counts as willing; load them with `load consents`"
        warnings.append(Said("no_consents", text))
    counts = store.campaign_record.contacted_since(to_micros(moment - timedelta(days=_CAP_DAYS)))
    kept = [name for name in people if counts.get(name, 0) < draft.cap]
    left["addressed often enough"] = len(people) - len(kept)
    return kept


def _alike(
    history: History, everybody: Sequence[str], like: Sequence[str], products: Sequence[str], moment: datetime
) -> dict[str, float]:
    """customer -> how likely they are one of the given kind, by a regression of the given against all others."""
    given = set(like) & set(everybody)
    if not given:
        raise InvalidRequest("like", "none of these customers has bought anything; give some who have")
    x = history.describe(everybody, products, moment)
    chance = Logistic(x, np.array([name in given for name in everybody])).chance(x)
    return dict(zip(everybody, chance.tolist(), strict=True))


def _would_buy(
    history: History, people: Sequence[str], products: Sequence[str], rules: Rules, moment: datetime
) -> Floats:
    """float [people]: the chance that each buys one of the products, or of the category, in the days to come."""
    wanted = list(products)
    if rules.buys_category:
        inside = (pl.col("kind") == rules.buys_category) | pl.col("kind").str.starts_with(f"{rules.buys_category} > ")
        wanted = history.kinds.filter(inside)["product"].to_list()
    model = None
    if wanted:
        model = learn_purchases(history, wanted, moment, max(1.0, float(rules.buys_within or 0))).model
    if model is None:
        what = repr(rules.buys_category) if rules.buys_category else "the campaign's products"
        raise NotEnoughData(f"nobody bought {what} lately, so who would buy cannot be told; leave buys_within out")
    return model.chance(history.describe(people, wanted, moment))


def _order_value(history: History, products: Sequence[str], moment: datetime) -> float:
    """What a buyer of the products spends on them in one order; their mean price where nobody bought them."""
    wanted = pl.DataFrame({"product": list(products)}, schema={"product": pl.String})
    own = history.purchases.filter(pl.col("time") < to_micros(moment)).join(wanted, on="product", how="semi")
    if own.is_empty():
        return 0.0
    return float(own.group_by("customer", "request_id").agg(pl.col("value").sum())["value"].mean())  # type: ignore[arg-type]


def _change(
    history: History, store: Store, x: Floats, response: Floats, moment: datetime
) -> tuple[Floats, float, str, list[str]]:
    """How a contact changes each customer's chance, the standard error of its mean, what that rests on, warnings."""
    contacts = store.campaign_record.contacts().filter(pl.col("time") < to_micros(moment))
    samples, outcomes, arms = [], [], []
    for one in history.sent:
        mine = contacts.filter(pl.col("campaign") == one.id)
        groups = mine["arm"].value_counts()
        if one.end > moment or groups.height < 2 or int(groups["count"].min()) < _FEWEST_ARM:  # type: ignore[arg-type]
            continue
        names = mine["customer"].to_list()
        samples.append(history.describe(names, one.products, one.start))
        outcomes.append(history.bought(names, one.products, one.start, (one.end - one.start).total_seconds() / 86_400))
        arms.append((mine["arm"] == SENT).to_numpy())
    if not samples:
        text = (
            "nobody was held out of an earlier campaign, so what is shown is who takes part, not whom the campaign "
            "changes; some would have bought anyway"
        )
        return response, 0.0, "response", [Said("response", text)]
    known, treated = np.vstack(samples), np.concatenate(arms)
    outcome = np.concatenate(outcomes).astype(np.float64)
    value, low, high = effect_interval(outcome, treated)
    middle, width = known.mean(0), np.where(known.std(0) > 0, known.std(0), 1)
    sample = _sample(known, (known - middle) / width, treated, outcome)
    learner = LEARNERS["logit"]
    areas = []
    for half in range(_HALVES):
        mixed = np.random.default_rng(half).permutation(len(sample))
        train, test = sample.of(mixed[: len(mixed) // 2]), sample.of(mixed[len(mixed) // 2 :])
        if outcome.any():
            areas.append(qini(learner(train, half)(test), test.outcome, test.treated))
    spread = (high - low) / 3.92
    if areas and np.mean(areas) - 1.96 * np.std(areas, ddof=1) > 0:
        other = _sample(x, (x - middle) / width, np.zeros(len(x), bool), np.zeros(len(x)))
        return learner(sample, 0)(other), spread, "uplift", []
    text = "earlier campaigns changed all customers alike, as far as can be told: send to all, or to none"
    return np.full(len(x), value), spread, "mean effect", [Said("alike", text)]


def _sample(trees: Floats, linear: Floats, treated: np.ndarray, outcome: Floats) -> Sample:
    share = float(treated.mean()) if treated.any() else 0.5
    return Sample(trees, np.clip(linear, -8, 8), treated, outcome, np.full(len(trees), share))


def _choose_offers(
    history: History, names: Sequence[str], offers: dict[str, tuple[str, ...]], moment: datetime, store: Store
) -> tuple[list[str], list[list[str]], list[str]]:
    """For each customer an offer, its products that fit, why."""
    if not names:
        return [], [], []
    scores = offer_scores(history, names, offers, moment)
    codes = list(offers)
    best = [codes[place] for place in scores.argmax(1)]
    now = to_micros(moment)
    past = history.purchases.filter(pl.col("time") < now)
    popular = dict(past.filter(pl.col("time") > now - 90 * _DAY)["product"].value_counts().iter_rows())
    own = past.join(pl.DataFrame({"customer": list(names)}), on="customer", how="semi").join(
        pl.DataFrame({"product": list({p for part in offers.values() for p in part})}), on="product", how="semi"
    )
    counts: dict[str, dict[str, int]] = {}
    for customer, product, count in own.group_by("customer", "product").agg(pl.len()).iter_rows():
        counts.setdefault(customer, {})[product] = count
    ranked = {
        code: sorted(products, key=lambda p: (-popular.get(p, 0), p))[:_SHOWN] for code, products in offers.items()
    }
    inside = {code: set(products) for code, products in offers.items()}
    titles: dict[str, str] = {}
    shown, first = [], []
    for name, code in zip(names, best, strict=True):
        mine = sorted(
            ((product, count) for product, count in counts.get(name, {}).items() if product in inside[code]),
            key=lambda pair: (-pair[1], pair[0]),
        )[:_SHOWN]
        listed = [product for product, _ in mine]
        shown.append((listed + [product for product in ranked[code] if product not in listed])[:_SHOWN])
        first.append(mine[0] if mine else None)
    records = store.products(list({pair[0] for pair in first if pair}))
    titles = {id: product.title or id for id, product in records.items()}
    reasons = [POPULAR if pair is None else bought(pair[1], titles.get(pair[0], pair[0])) for pair in first]
    return best, shown, reasons
