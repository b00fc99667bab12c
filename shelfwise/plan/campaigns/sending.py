"""From an audience to a list: who is addressed is recorded with who is held out, before the list is handed over."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import polars as pl

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.plan.campaigns.audience import Audience, Rules, audience, held_out
from shelfwise.plan.campaigns.draft import Draft, put
from shelfwise.plan.campaigns.planner import Plan, plan
from shelfwise.plan.campaigns.response import History
from shelfwise.schema import to_micros
from shelfwise.store import Store
from shelfwise.store.campaigns import HELD_OUT, SENT


def export(store: Store, draft: Draft, chosen: Audience, moment: datetime) -> str:
    """Record the audience, keep with the campaign what was promised, return the list as CSV: customer, offer, products,
    reason. Who was recorded for this campaign before stays in the group they were in."""
    people = chosen.people
    if people.is_empty():
        raise NotEnoughData("the audience is empty, so there is nothing to export; loosen its rules")
    contacts = people.select(
        "customer",
        "arm",
        "offer",
        "reason",
        "response",
        "uplift",
        "profit",
        campaign=pl.lit(draft.id),
        time=pl.lit(to_micros(max(moment, draft.start))),
        products=pl.Series([orjson.dumps(list(row)).decode() for row in people["products"]]),
    )
    put(store, replace(draft, promised=_promise(chosen.summary)))
    store.campaign_record.add_contacts(contacts)
    return listed(store, draft)


def _promise(summary: dict[str, Any]) -> dict[str, Any]:
    keys = ("customers", "sent", "held_out", "basis", "visits", "purchases", "revenue", "profit")
    return {key: summary[key] for key in keys if key in summary}


def listed(store: Store, draft: Draft) -> str:
    """The recorded list of those sent to, as CSV; formulas of spreadsheets are written as text."""
    contacts = store.campaign_record.contacts(draft.id).filter(pl.col("arm") == SENT)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["customer", "offer", "products", "reason"])
    for row in contacts.sort("profit", descending=True, nulls_last=True).iter_rows(named=True):
        products = " ".join(orjson.loads(row["products"]))
        writer.writerow([_safe(row["customer"]), _safe(row["offer"]), _safe(products), _safe(row["reason"])])
    return out.getvalue()


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def plan_campaigns(
    store: Store,
    history: History,
    drafts: Sequence[Draft],
    budget: float,
    moment: datetime,
    *,
    most: int = 1,
    margin: float = 0.3,
) -> tuple[Plan, dict[str, Audience]]:
    """Several campaigns under one budget of contacts: who gets which, at most `most` each. Each is
    limited to the audience that its stock serves. Raises NotEnoughData, InvalidRequest."""
    if not drafts:
        raise InvalidRequest("campaigns", "name at least one campaign to plan")
    whole = [audience(store, history, draft, Rules(pays=False), moment, margin=margin) for draft in drafts]
    people = sorted({name for one in whole for name in one.people["customer"]})
    places = {name: row for row, name in enumerate(people)}
    value = np.full((len(people), len(drafts)), -np.inf)
    for column, one in enumerate(whole):
        rows = [places[name] for name in one.people["customer"]]
        value[rows, column] = one.people["profit"].to_numpy()
    cost = np.array([draft.contact_cost for draft in drafts])
    made = plan(value, cost, budget, most=most)
    chosen = {}
    for column, (draft, one) in enumerate(zip(drafts, whole, strict=True)):
        mine = {people[row] for row in np.flatnonzero(made.chosen[:, column])}
        kept = one.people.filter(pl.col("customer").is_in(list(mine)))
        arms = [HELD_OUT if held_out(draft.id, name, draft.holdout) else SENT for name in kept["customer"]]
        kept = kept.with_columns(arm=pl.Series(arms, dtype=pl.String))
        sent = kept.filter(pl.col("arm") == SENT)
        summary = {
            "customers": kept.height,
            "sent": sent.height,
            "held_out": kept.height - sent.height,
            "basis": one.summary.get("basis", ""),
            "profit": {"value": float(sent["profit"].sum())},
            "contact_cost": draft.contact_cost * sent.height,
        }
        chosen[draft.id] = Audience(people=kept, summary=summary, curve=[], warnings=one.warnings)
    return made, chosen
