"""Campaigns in the record: plans, who was addressed or held out, who took part, who may be addressed.

What a plan's text means is plan/campaigns' matter. Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlalchemy import Connection, Table, delete, func, insert, select

from shelfwise.store.connection import Database
from shelfwise.store.rows import frame_of
from shelfwise.store.tables import (
    campaign_answers,
    campaign_consents,
    campaign_contacts,
    campaign_plans,
    conflict_insert,
)

CONTACT_COLUMNS: dict[str, pl.DataType] = {
    "campaign": pl.String(),
    "customer": pl.String(),
    "arm": pl.String(),
    "time": pl.Int64(),
    "offer": pl.String(),
    "products": pl.String(),
    "reason": pl.String(),
    "response": pl.Float64(),
    "profit": pl.Float64(),
    "uplift": pl.Float64(),
}
ANSWER_COLUMNS: dict[str, pl.DataType] = {
    "campaign": pl.String(),
    "customer": pl.String(),
    "offer": pl.String(),
    "time": pl.Int64(),
}
SENT, HELD_OUT = "sent", "held_out"
_NAMES = ", ".join(CONTACT_COLUMNS)


class CampaignRecord:
    """The campaigns of one record, for many threads and processes. Every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plans(self) -> dict[str, str]:
        """id -> JSON text, ordered by id."""
        return dict(self._database.fetch("SELECT id, record FROM campaign_plans ORDER BY id", ()))

    def plan(self, id: str) -> str | None:
        with self._database.read() as connection:
            return connection.scalar(select(campaign_plans.c.record).where(campaign_plans.c.id == id))

    def put_plan(self, id: str, record: str) -> None:
        """Add the plan or replace the one of the same id."""
        with self._database.write() as connection:
            connection.execute(delete(campaign_plans).where(campaign_plans.c.id == id))
            connection.execute(insert(campaign_plans).values(id=id, record=record))

    def add_contacts(self, contacts: pl.DataFrame) -> int:
        """Rows of CONTACT_COLUMNS, of which uplift may be left out; how many were new. Who is recorded for a campaign
        stays as recorded: that somebody was held out cannot be changed afterwards."""
        if "uplift" not in contacts.columns:
            contacts = contacts.with_columns(uplift=pl.lit(None, pl.Float64))
        return self._add(campaign_contacts, contacts.select(*CONTACT_COLUMNS))

    def contacts(self, campaign: str | None = None) -> pl.DataFrame:
        query = select(campaign_contacts)
        if campaign is not None:
            query = query.where(campaign_contacts.c.campaign == campaign)
        with self._database.read() as connection:
            return frame_of(connection.execute(query.order_by("campaign", "customer")), CONTACT_COLUMNS)

    def contacts_of(self, customer: str) -> list[dict[str, Any]]:
        """One indexed read, in the driver's own words: it stands before every page of a known customer."""
        mark = "?" if self._database.sqlite else "%s"
        rows = self._database.fetch(f"SELECT {_NAMES} FROM campaign_contacts WHERE customer = {mark}", (customer,))
        return [dict(zip(CONTACT_COLUMNS, row, strict=True)) for row in rows]

    def contacted_since(self, time: int) -> dict[str, int]:
        """customer -> campaigns sent since."""
        table = campaign_contacts.c
        query = (
            select(table.customer, func.count()).where(table.time >= time, table.arm == SENT).group_by(table.customer)
        )
        with self._database.read() as connection:
            return {name: int(count) for name, count in connection.execute(query)}

    def add_answers(self, answers: pl.DataFrame) -> int:
        """Rows of ANSWER_COLUMNS; how many were new."""
        return self._add(campaign_answers, answers.select(*ANSWER_COLUMNS))

    def answers(self, campaign: str | None = None) -> pl.DataFrame:
        query = select(campaign_answers)
        if campaign is not None:
            query = query.where(campaign_answers.c.campaign == campaign)
        with self._database.read() as connection:
            return frame_of(connection.execute(query.order_by("time", "campaign", "customer")), ANSWER_COLUMNS)

    def put_consents(self, consents: pl.DataFrame) -> int:
        """customer, allowed (bool), time; the newest word of each customer counts. How many."""
        rows = consents.sort("time").unique("customer", keep="last", maintain_order=True)
        with self._database.write() as connection:
            for part in rows.iter_slices(500):
                names = part["customer"].to_list()
                connection.execute(delete(campaign_consents).where(campaign_consents.c.customer.in_(names)))
                values = part.select("customer", pl.col("allowed").cast(pl.Int64), "time").to_dicts()
                connection.execute(insert(campaign_consents), values)
        return rows.height

    def consents(self) -> dict[str, bool]:
        """customer -> may be addressed."""
        with self._database.read() as connection:
            table = campaign_consents.c
            return {name: bool(allowed) for name, allowed in connection.execute(select(table.customer, table.allowed))}

    def willing(self, customer: str) -> bool:
        """Whether the customer may be addressed: they said so, or no consents are recorded at all."""
        mark = "?" if self._database.sqlite else "%s"
        sql = (
            f"SELECT (SELECT allowed FROM campaign_consents WHERE customer = {mark}), "
            "EXISTS (SELECT 1 FROM campaign_consents)"
        )
        said, any_at_all = self._database.fetch(sql, (customer,))[0]
        return bool(said) if said is not None else not any_at_all

    def _add(self, table: Table, rows: pl.DataFrame) -> int:
        if rows.is_empty():
            return 0
        with self._database.write() as connection:
            before = connection.scalar(select(func.count()).select_from(table)) or 0
            statement = conflict_insert(connection, table).on_conflict_do_nothing()
            for part in rows.iter_slices(10_000):
                connection.execute(statement, part.to_dicts())
            return int((connection.scalar(select(func.count()).select_from(table)) or 0) - before)


def forget(connection: Connection, customer: str) -> None:
    """Contacts, answers and consent of the customer go."""
    for table in (campaign_contacts, campaign_answers, campaign_consents):
        connection.execute(delete(table).where(table.c.customer == customer))
