"""Campaigns over HTTP: draft, audience, list, who came, effect, and what a customer is offered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from shelfwise.schema import now
from shelfwise.serve.app import create_app
from shelfwise.shop import Shop


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop), base_url="http://localhost") as opened:
        yield opened


def tea(**changed: Any) -> dict[str, Any]:
    return {
        "id": "tea-weeks",
        "start": (now() - timedelta(minutes=1)).isoformat(),
        "end": (now() + timedelta(days=14)).isoformat(),
        "offers": [{"code": "T10", "categories": ["Tea"], "discount": 0.1}],
        **changed,
    }


def content(reply: Any) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_a_campaign_from_draft_to_effect(client: TestClient, shop: Shop) -> None:
    assert content(client.put("/v1/campaigns", json=tea()))["ids"] == ["tea-weeks"]
    assert content(client.get("/v1/campaigns"))["campaigns"][0]["offers"][0]["code"] == "T10"
    seen = content(client.post("/v1/campaigns/tea-weeks/audience", json={"pays": False}))
    assert seen["list"] == ""
    assert shop.store.campaign_record.contacts().is_empty()
    made = content(client.post("/v1/campaigns/tea-weeks/audience", json={"pays": False, "export": True}))
    assert made["summary"]["sent"] == len(made["list"].splitlines()) - 1 > 0
    contacts = shop.store.campaign_record.contacts("tea-weeks")
    sent = contacts.filter(contacts["arm"] == "sent").sort("profit", descending=True)
    positive = sent.filter(sent["profit"] > 0)
    if positive.height:
        (one,) = content(client.post("/v1/campaigns", json={"customer": positive["customer"][0]}))["campaigns"]
        assert one["campaign"] == "tea-weeks"
        assert one["products"]
        assert one["products"][0].startswith("Tea")
    held = contacts.filter(contacts["arm"] == "held_out")["customer"][0]
    assert content(client.post("/v1/campaigns", json={"customer": held}))["campaigns"] == []
    row = {"campaign": "tea-weeks", "customer": sent["customer"][0]}
    assert content(client.post("/v1/campaigns/redemptions", json=row))["accepted"] == 1
    effect = content(client.get("/v1/campaigns/tea-weeks/effect"))["effect"]
    assert effect["took_part"] == 1
    assert effect["promised"]["sent"] == effect["sent"]


def test_who_was_addressed_elsewhere_is_recorded_once(client: TestClient) -> None:
    client.put("/v1/campaigns", json=tea())
    rows = {"contacts": [{"campaign": "tea-weeks", "customer": f"c{n}", "arm": "sent"} for n in range(3)]}
    assert content(client.post("/v1/campaigns/contacts", json=rows))["accepted"] == 3
    assert content(client.post("/v1/campaigns/contacts", json=rows))["duplicates"] == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (tea(offers=[]), "offers"),
        (tea(offers=[{"code": "x"}]), "offers"),
        (tea(offers=[{"code": "x", "product": "a"}]), "offers[0].product"),
        (tea(end="2020-01-01T00:00:00Z"), "end"),
        (tea(holdout=0.001), "holdout"),
        (tea(offers="tea"), "offers"),
        ({"id": "x"}, "start"),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused_and_keeps_nothing(
    client: TestClient, body: dict[str, Any], field: str
) -> None:
    reply = client.put("/v1/campaigns", json=body)
    assert reply.status_code == 422
    assert reply.json()["error"]["field"] == field
    assert content(client.get("/v1/campaigns"))["campaigns"] == []


def test_what_is_not_there_is_said(client: TestClient) -> None:
    assert client.post("/v1/campaigns/none/audience", json={}).status_code == 404
    assert client.get("/v1/campaigns/none/effect").status_code == 404
    reply = client.post("/v1/campaigns/contacts", json={"campaign": "none", "customer": "c1"})
    assert reply.json()["error"]["field"] == "campaign"
    client.put("/v1/campaigns", json=tea())
    reply = client.get("/v1/campaigns/tea-weeks/effect")
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "not_enough_data")
    assert client.post("/v1/campaigns/tea-weeks/audience", json={"like": ["nobody"]}).status_code == 422
