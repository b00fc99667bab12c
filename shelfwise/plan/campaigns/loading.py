"""Files of campaigns, contacts, redemptions and consents into the record; and the record as a history to learn from.

A row that breaks a rule is left out and reported with its line; the others are kept. A file that lacks a column changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from shelfwise.errors import InvalidRecord, UnreadableFile
from shelfwise.plan.campaigns.draft import Draft, Offer, drafts, moment_of, put
from shelfwise.plan.campaigns.experiment import read_table
from shelfwise.plan.campaigns.response import History, Offered, read_purchases
from shelfwise.schema import MAX_ID, Campaign, check_text, now, to_micros
from shelfwise.store import Store
from shelfwise.store.campaigns import ANSWER_COLUMNS, CONTACT_COLUMNS, HELD_OUT, SENT

_EXAMPLES = 5
_NAMES: dict[str, tuple[str, ...]] = {
    "campaign": ("campaign", "campaign_id", "id"),
    "customer": ("customer", "customer_id", "user_id", "household_id", "client_id"),
    "time": ("time", "date", "timestamp", "redemption_date", "sent_at", "redeemed_at", "datum"),
    "arm": ("arm", "group", "variant", "treatment", "held_out", "holdout"),
    "offer": ("offer", "coupon", "code", "coupon_upc", "coupon_code", "voucher"),
    "title": ("title", "name", "description", "campaign_type"),
    "start": ("start", "start_date", "begin", "from"),
    "end": ("end", "end_date", "until", "to"),
    "product": ("product", "product_id", "products", "sku"),
    "category": ("category", "categories", "product_type"),
    "discount": ("discount",),
    "offer_cost": ("offer_cost",),
    "contact_cost": ("contact_cost", "cost"),
    "channel": ("channel",),
    "allowed": ("allowed", "consent", "opt_in", "optin", "subscribed"),
}
_HELD = {"held_out", "held out", "holdout", "control", "none", "no", "0", "c", "untreated"}
_HELD_BY_COLUMN = {"held_out", "holdout"}
_NO = {"no", "n", "false", "f", "0", "nein", "否"}
_YES = {"yes", "y", "true", "t", "1", "ja", "是"}


@dataclass(slots=True)
class Loaded:
    """What came of a file. problems: why -> lines."""

    read: int = 0
    kept: int = 0
    known: int = 0
    problems: dict[str, list[int]] = field(default_factory=dict)

    def leave(self, line: int, why: str) -> None:
        self.problems.setdefault(why, []).append(line)

    def to_json(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "kept": self.kept,
            "already_recorded": self.known,
            "left_out": sum(len(lines) for lines in self.problems.values()),
            "problems": [
                {"why": why, "rows": len(lines), "lines": lines[:_EXAMPLES]} for why, lines in self.problems.items()
            ],
        }


Mapping_ = Mapping[str, str] | None


def _read(path: Path, mapping: Mapping_, needed: tuple[str, ...]) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows with our names, missing values "", and which column is which."""
    frame = read_table(path, texts=True)
    lower = {name.casefold().replace(" ", "_"): name for name in frame.columns}
    columns = dict(mapping or {})
    for name, column in columns.items():
        if name not in _NAMES or column not in frame.columns:
            raise UnreadableFile(
                path, f"--map {name}={column}: fields are {', '.join(_NAMES)}; columns are {', '.join(frame.columns)}"
            )
    for name, likely in _NAMES.items():
        if name not in columns and (hit := next((lower[one] for one in likely if one in lower), None)):
            columns[name] = hit
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UnreadableFile(path, f"has no column for {', '.join(missing)}; name it with --map {missing[0]}=COLUMN")
    chosen = frame.select(
        pl.col(column).cast(pl.String).fill_null("").str.strip_chars().alias(name) for name, column in columns.items()
    )
    return list(chosen.iter_rows(named=True)), columns


def load_campaigns(path: Path, store: Store, mapping: Mapping_ = None) -> Loaded:
    """A row a campaign's offer or product. Products and categories may be parted by ; or |."""
    rows, _ = _read(path, mapping, ("campaign", "start", "end"))
    loaded = Loaded(read=len(rows))
    grouped: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in enumerate(rows, 2):
        if not row["campaign"]:
            loaded.leave(line, "campaign: is required; give it a value")
        else:
            grouped.setdefault(row["campaign"], []).append((line, row))
    for id, lines in grouped.items():
        first = lines[0][1]
        offers: dict[str, dict[str, Any]] = {}
        try:
            for _, row in lines:
                code = row.get("offer") or "offer-1"
                offer = offers.setdefault(code, {"code": code, "products": {}, "categories": {}})
                offer["products"] |= dict.fromkeys(_many(row.get("product", "")))
                offer["categories"] |= dict.fromkeys(_many(row.get("category", "")))
                offer |= {
                    key: _amount(key, row[name])
                    for key, name in (("discount", "discount"), ("cost", "offer_cost"))
                    if row.get(name)
                }
            values: dict[str, Any] = {
                "id": id,
                "title": first.get("title", ""),
                "start": first["start"],
                "end": first["end"],
                "offers": [
                    one | {"products": list(one["products"]), "categories": list(one["categories"])}
                    for one in offers.values()
                ],
            }
            if first.get("channel"):
                values["channel"] = first["channel"]
            if first.get("contact_cost"):
                values["contact_cost"] = _amount("contact_cost", first["contact_cost"])
            put(store, Draft.from_json(values))
            loaded.kept += len(lines)
        except InvalidRecord as error:
            for line, _ in lines:
                loaded.leave(line, f"campaign {id}: {error}")
    return loaded


def _many(text: str) -> list[str]:
    return [part.strip() for part in text.replace("|", ";").split(";") if part.strip()]


def _amount(name: str, text: str) -> float:
    percent = text.endswith("%")
    try:
        value = float(text.removesuffix("%").strip().replace(",", "."))
    except ValueError:
        raise InvalidRecord(name, f"is {text[:40]!r}; it must be a number") from None
    return value / 100 if percent else value


def _known(store: Store) -> set[str]:
    return {*store.campaign_record.plans(), *(one.id for one in store.campaigns())}


def load_contacts(path: Path, store: Store, mapping: Mapping_ = None) -> Loaded:
    """Who was addressed and who was held out. Without an arm everybody was addressed; without a time, when the campaign
    began."""
    rows, columns = _read(path, mapping, ("campaign", "customer"))
    starts = {one.id: one.start for one in store.campaigns() if one.start} | {
        one.id: one.start for one in drafts(store)
    }
    named_held = columns.get("arm", "").casefold().replace(" ", "_") in _HELD_BY_COLUMN

    def contact(row: dict[str, str]) -> dict[str, Any]:
        arm = row.get("arm", "").casefold()
        held = arm in _YES if named_held else arm in _HELD
        time = moment_of("time", row["time"]) if row.get("time") else starts.get(row["campaign"], now())
        return _pair(row) | {"arm": HELD_OUT if held else SENT, "time": to_micros(time), "offer": row.get("offer", "")}

    blank = {"products": "[]", "reason": "", "response": None, "profit": None}
    return _load(
        rows, _known(store), lambda row: contact(row) | blank, CONTACT_COLUMNS, store.campaign_record.add_contacts
    )


def load_redemptions(path: Path, store: Store, mapping: Mapping_ = None) -> Loaded:
    """Who took part, with which offer, when."""
    rows, _ = _read(path, mapping, ("campaign", "customer", "time"))

    def answer(row: dict[str, str]) -> dict[str, Any]:
        return _pair(row) | {"offer": row.get("offer", ""), "time": to_micros(moment_of("time", row["time"]))}

    return _load(rows, _known(store), answer, ANSWER_COLUMNS, store.campaign_record.add_answers)


def load_consents(path: Path, store: Store, mapping: Mapping_ = None) -> Loaded:
    """Who may be addressed. From the first such file on, who is on none is not addressed."""
    rows, _ = _read(path, mapping, ("customer", "allowed"))

    def consent(row: dict[str, str]) -> dict[str, Any]:
        check_text("customer", row["customer"], MAX_ID, required=True)
        word = row["allowed"].casefold()
        if word not in _YES | _NO:
            raise InvalidRecord("allowed", f"is {row['allowed'][:40]!r}; write yes or no")
        time = moment_of("time", row["time"]) if row.get("time") else now()
        return {"customer": row["customer"], "allowed": word in _YES, "time": to_micros(time)}

    schema = {"customer": pl.String(), "allowed": pl.Boolean(), "time": pl.Int64()}
    return _load(rows, None, consent, schema, store.campaign_record.put_consents)


def _pair(row: dict[str, str]) -> dict[str, Any]:
    check_text("customer", row["customer"], MAX_ID, required=True)
    return {"campaign": row["campaign"], "customer": row["customer"]}


def _load(
    rows: list[dict[str, str]],
    campaigns: set[str] | None,
    record: Callable[[dict[str, str]], dict[str, Any]],
    schema: Mapping[str, Any],
    keep: Callable[[pl.DataFrame], int],
) -> Loaded:
    loaded, good = Loaded(read=len(rows)), []
    for line, row in enumerate(rows, 2):
        if campaigns is not None and row["campaign"] not in campaigns:
            loaded.leave(line, f"there is no campaign {row['campaign'][:60]!r}; load campaigns first")
            continue
        try:
            good.append(record(row))
        except InvalidRecord as error:
            loaded.leave(line, str(error))
    frame = pl.DataFrame(good, schema=schema, orient="row") if good else pl.DataFrame(schema=schema)
    loaded.kept = keep(frame) if good else 0
    loaded.known = len(good) - loaded.kept
    return loaded


def history(store: Store, purchases: pl.DataFrame | None = None) -> History:
    """Everything of the record to learn from: campaigns recorded here, and those of the side tables `coupons` and
    `coupon_redemptions`. purchases: as `read_purchases` gave them, where they are in memory. Raises NotEnoughData
    without purchases."""
    tables = set(store.tables())
    offers: dict[str, dict[str, list[str]]] = {}
    if "coupons" in tables:
        for campaign, coupon, product in store.table("coupons", ["campaign", "coupon", "product"]).iter_rows():
            offers.setdefault(campaign, {}).setdefault(coupon, []).append(product)
    contacts = store.campaign_record.contacts()
    sent = contacts.filter(pl.col("arm") == SENT).group_by("campaign").agg("customer")
    addressed: dict[str, list[str]] = dict(sent.iter_rows())
    columns = {
        one.id: _offered(one, offers.get(one.id) or {"offer-1": list(one.products)})
        for one in store.campaigns()
        if one.start and one.end
    }
    kinds = store.products_frame().select(product="id", kind="product_type", list_price="price")
    for plan in drafts(store):
        parts = {offer.code: named for offer in plan.offers if (named := _named(offer, kinds))}
        columns[plan.id] = Offered(
            id=plan.id, start=plan.start, end=plan.end, customers=tuple(addressed.get(plan.id, ())), offers=parts
        )
    answers = store.campaign_record.answers()
    if "coupon_redemptions" in tables:
        old = store.table("coupon_redemptions").select("campaign", "customer", offer="coupon", time="time")
        answers = pl.concat([answers, old.select(*ANSWER_COLUMNS).cast(pl.Schema(ANSWER_COLUMNS))]).unique()
    return History(read_purchases(store) if purchases is None else purchases, kinds, list(columns.values()), answers)


def _named(offer: Offer, kinds: pl.DataFrame) -> tuple[str, ...]:
    """The products of an offer, those of its categories spelled out."""
    kind, products = pl.col("kind"), list(offer.products)
    for category in offer.categories:
        inside = (kind == category) | kind.str.starts_with(f"{category} > ")
        products += kinds.filter(inside)["product"].to_list()
    return tuple(dict.fromkeys(products))


def _offered(one: Campaign, offers: Mapping[str, list[str]]) -> Offered:
    start, end = one.start, one.end
    assert start is not None
    assert end is not None
    parts = {code: tuple(products) for code, products in offers.items() if products}
    return Offered(id=one.id, start=start, end=end, customers=one.customers, offers=parts)
