"""Campaigns from draft to effect, over a small shop whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.errors import InvalidRecord, InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.plan.campaigns.audience import Rules, audience, held_out
from shelfwise.plan.campaigns.draft import Draft, Offer, draft, every, put
from shelfwise.plan.campaigns.effect import cuped, measure
from shelfwise.plan.campaigns.loading import (
    history,
    load_campaigns,
    load_consents,
    load_contacts,
    load_redemptions,
)
from shelfwise.plan.campaigns.offers import Running
from shelfwise.plan.campaigns.response import History, Logistic
from shelfwise.plan.campaigns.sending import export, listed, plan_campaigns
from shelfwise.plan.campaigns.supply import spare
from shelfwise.plan.campaigns.words import bought, reason
from shelfwise.plan.inventory.ahead import expected, put_ahead
from shelfwise.plan.inventory.stock import put_stock, stock_row
from shelfwise.schema import EVENT_COLUMNS, Availability, Campaign, Product, Rule, RuleAction, Status, to_micros
from shelfwise.store import Store, open_store
from shelfwise.store.campaigns import CONTACT_COLUMNS, HELD_OUT, SENT

START = datetime(2024, 6, 1, tzinfo=UTC)
END = START + timedelta(days=14)
CUSTOMERS = 400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Tea drinkers (even customers) buy tea each week, the others soap; half of a year."""
    draw = np.random.default_rng(0)
    with open_store(f"sqlite:///{tmp_path}/record.db") as opened:
        opened.put_products(
            [
                Product(id=f"{kind}-{n}", title=f"{kind} {n}", product_type=f"{kind.title()} > Loose", price=5.0)
                for kind in ("tea", "soap")
                for n in range(5)
            ]
        )
        rows = []
        for customer in range(CUSTOMERS):
            kind = ("tea", "soap")[customer % 2]
            for week in range(25):
                if draw.random() < 0.5:
                    time = START - timedelta(days=180) + timedelta(days=7 * week + float(draw.uniform(0, 6)))
                    rows.append(_event(len(rows), customer, f"{kind}-{int(draw.integers(5))}", time))
        opened.import_events([pl.DataFrame(rows, schema=EVENT_COLUMNS, orient="row")])
        yield opened


def _event(number: int, customer: int, product: str, time: datetime) -> tuple[object, ...]:
    return (f"e{number}", "purchase", to_micros(time), f"c{customer}", "", product, 1.0, 5.0, None, "", f"b{number}")


def tea(**changed: object) -> Draft:
    values = {
        "id": "tea-weeks",
        "start": START,
        "end": END,
        "contact_cost": 0.1,
        "offers": (Offer(code="T10", categories=("Tea",), discount=0.1),),
    }
    return Draft(**(values | changed))  # type: ignore[arg-type]


def test_the_audience_is_who_buys_such_products(store: Store) -> None:
    made = audience(store, history(store), tea(), Rules(), START)
    people = made.people["customer"].to_list()
    assert len(people) > 100
    assert np.mean([int(name[1:]) % 2 == 0 for name in people]) > 0.95
    assert made.people["products"].list.len().min() == 3
    assert all(product.startswith("tea") for row in made.people["products"] for product in row)
    assert made.summary["sent"] + made.summary["held_out"] == len(people)
    assert made.summary["profit"]["low"] < made.summary["profit"]["value"] < made.summary["profit"]["high"]
    assert any("no effect" in one or "not whom" in one for one in made.warnings)
    assert made.people["uplift"].is_null().all()
    assert made.curve[-1]["customers"] == CUSTOMERS


def test_rules_narrow_and_likeness_widens(store: Store) -> None:
    past = history(store)
    few = audience(store, past, tea(), Rules(orders=15, pays=False), START)
    assert 0 < few.people.height < CUSTOMERS / 2
    buyers = audience(store, past, tea(), Rules(category="Soap", pays=False), START)
    assert all(int(name[1:]) % 2 for name in buyers.people["customer"])
    alike = audience(store, past, tea(), Rules(like=("c0", "c2", "c4", "c6"), size=50, pays=False), START)
    assert alike.people.height == 50
    assert np.mean([int(name[1:]) % 2 == 0 for name in alike.people["customer"]]) > 0.9
    assert "c0" not in alike.people["customer"].to_list()
    with pytest.raises(InvalidRequest, match="like"):
        audience(store, past, tea(), Rules(like=("nobody",)), START)


def test_who_would_buy_within_days_is_a_rule(store: Store) -> None:
    past = history(store)
    likely = audience(store, past, tea(), Rules(buys_within=14, buys_chance=0.3, pays=False), START)
    assert 100 < likely.people.height < CUSTOMERS
    assert all(int(name[1:]) % 2 == 0 for name in likely.people["customer"])
    soap = audience(store, past, tea(), Rules(buys_within=14, buys_category="Soap", pays=False), START)
    assert all(int(name[1:]) % 2 for name in soap.people["customer"])
    assert soap.summary["left_out"]["less likely to buy"] >= CUSTOMERS // 2
    nobody = audience(store, past, tea(), Rules(buys_within=14, buys_chance=1.0), START)
    assert nobody.people.is_empty()
    with pytest.raises(NotEnoughData, match="'Tools'"):
        audience(store, past, tea(), Rules(buys_within=14, buys_category="Tools"), START)
    with pytest.raises(InvalidRequest, match="buys_within"):
        Rules(buys_within=-1)


def test_without_consent_nobody_is_addressed_and_the_cap_holds(store: Store) -> None:
    past = history(store)
    rows = pl.DataFrame({"customer": ["c0", "c2"], "allowed": [True, False], "time": [0, 0]})
    store.campaign_record.put_consents(rows)
    made = audience(store, past, tea(), Rules(pays=False), START)
    assert made.people["customer"].to_list() == ["c0"]
    assert made.summary["left_out"]["no consent"] == CUSTOMERS - 1
    export(store, tea(id="earlier"), made, START - timedelta(days=3))
    arm = store.campaign_record.contacts("earlier")["arm"][0]
    again = audience(store, past, tea(cap=1), Rules(pays=False), START + timedelta(days=1))
    assert again.people.height == (0 if arm == SENT else 1)


def test_what_cannot_be_sold_is_not_advertised(store: Store) -> None:
    store.put_products(
        [Product(id="tea-0", title="tea 0", product_type="Tea > Loose", availability=Availability.OUT_OF_STOCK)]
    )
    store.put_rules([Rule(action=RuleAction.HIDE, products=("tea-1",), query="tea")], "test")
    made = audience(store, history(store), tea(), Rules(), START)
    shown = {product for row in made.people["products"] for product in row}
    assert shown == {"tea-2", "tea-3", "tea-4"}
    with pytest.raises(NotEnoughData, match="no product"):
        audience(store, history(store), tea(offers=(Offer(code="x", products=("tea-0",)),)), Rules(), START)


def test_the_export_is_recorded_first_and_who_was_held_out_stays_so(store: Store) -> None:
    plan = tea(holdout=0.2)
    made = audience(store, history(store), plan, Rules(), START)
    put(store, plan)
    text = export(store, plan, made, START)
    contacts = store.campaign_record.contacts(plan.id)
    assert contacts.height == made.people.height
    lines = text.splitlines()
    assert lines[0] == "customer,offer,products,reason"
    assert len(lines) - 1 == (contacts["arm"] == SENT).sum()
    held = set(contacts.filter(pl.col("arm") == HELD_OUT)["customer"])
    assert held
    assert not held & {line.split(",")[0] for line in lines}
    export(store, plan, made, START)
    assert store.campaign_record.contacts(plan.id).equals(contacts)
    assert listed(store, plan) == text
    assert draft(store, plan.id).promised["sent"] == made.summary["sent"]


def test_a_customer_is_offered_what_runs_and_addresses_them(store: Store) -> None:
    plan = tea()
    export(store, plan, audience(store, history(store), plan, Rules(), START), START)
    contacts = store.campaign_record.contacts(plan.id)
    sent = contacts.filter(pl.col("arm") == SENT)["customer"][0]
    held = contacts.filter(pl.col("arm") == HELD_OUT)["customer"][0]
    running = Running(store)
    running.refresh()
    (one,) = running.for_customer(sent, START + timedelta(days=1), 5)
    assert one.campaign == plan.id
    assert one.products
    assert one.reason.startswith("bought")
    assert running.for_customer(held, START + timedelta(days=1), 5) == []
    assert running.for_customer(sent, END, 5) == []
    tea_leaves = [f"tea-{n}" for n in range(5)]
    store.put_rules([Rule(id="no-tea", query="tea", action=RuleAction.HIDE, products=tuple(tea_leaves))], "me")
    running.refresh()
    assert running.for_customer(sent, START, 5) == []
    store.delete_rule("no-tea", "me")
    running.refresh()
    store.put_products([Product(id=id, availability=Availability.OUT_OF_STOCK) for id in tea_leaves[1:]])
    for (named,) in [one.products for one in running.for_customer(sent, START, 5)]:
        assert named == "tea-0"
    store.put_products([Product(id=id, status=Status.RETIRED) for id in tea_leaves])
    assert running.for_customer(sent, START, 5) == []
    store.put_products([Product(id=id) for id in tea_leaves])
    assert running.for_customer(sent, START, 5)
    store.campaign_record.put_consents(pl.DataFrame({"customer": [sent], "allowed": [False], "time": [0]}))
    assert running.for_customer(sent, START, 5) == []


def test_the_effect_is_found_with_its_interval(store: Store) -> None:
    plan = tea(holdout=0.3)
    put(store, plan)
    draw = np.random.default_rng(1)
    arms = [HELD_OUT if held_out(plan.id, f"c{n}", 0.3) else SENT for n in range(CUSTOMERS)]
    rows = [
        _event(100_000 + n, n, "tea-0", START + timedelta(days=float(draw.uniform(0, 13))))
        for n, arm in enumerate(arms)
        if draw.random() < 0.2 + 0.3 * (arm == SENT)
    ]
    store.import_events([pl.DataFrame(rows, schema=EVENT_COLUMNS, orient="row")])
    store.campaign_record.add_contacts(
        pl.DataFrame(
            {
                "campaign": plan.id,
                "customer": [f"c{n}" for n in range(CUSTOMERS)],
                "arm": arms,
                "time": 0,
                "offer": "T10",
                "products": "[]",
                "reason": "",
                "response": 0.5,
                "profit": draw.random(CUSTOMERS),
            }
        )
    )
    result = measure(store, history(store), plan, END)
    effect = result["effect"]["bought"]["plain"]
    assert effect["low"] < 0.3 < effect["high"]
    assert effect["low"] > 0
    assert result["qini"]["low"] < 0 < result["qini"]["high"]  # the order was chance
    assert result["sent"] + result["held_out"] == CUSTOMERS
    assert {one["spent_before"] for one in result["segments"]} <= {"none", "less", "more"}


def test_without_a_holdout_no_effect_is_claimed(store: Store) -> None:
    plan = tea()
    put(store, plan)
    store.campaign_record.add_contacts(
        pl.DataFrame(
            {
                "campaign": plan.id,
                "customer": ["c0"],
                "arm": SENT,
                "time": 0,
                "offer": "",
                "products": "[]",
                "reason": "",
                "response": None,
                "profit": None,
            },
            schema_overrides={"response": pl.Float64, "profit": pl.Float64},
        )
    )
    result = measure(store, history(store), plan, END)
    assert result["effect"] is None
    assert "no effect can be told" in result["warnings"][0]
    with pytest.raises(NotEnoughData):
        measure(store, history(store), tea(id="other"), END)


def test_cuped_keeps_the_mean_and_narrows(store: Store) -> None:
    draw = np.random.default_rng(0)
    before = draw.gamma(2, 10, 2_000)
    outcome = before + draw.normal(0, 3, 2_000)
    adjusted = cuped(outcome, before)
    assert adjusted.mean() == pytest.approx(outcome.mean())
    assert adjusted.std() < outcome.std() / 2


def test_several_campaigns_share_a_budget(store: Store) -> None:
    soap = tea(id="soap-weeks", offers=(Offer(code="S", categories=("Soap",)),))
    made, chosen = plan_campaigns(store, history(store), [tea(), soap], 25.0, START)
    assert made.spent <= 25.0 + 1e-9
    assert made.gap < 0.01
    people = [set(one.people["customer"]) for one in chosen.values()]
    assert people[0]
    assert not people[0] & people[1]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"end": START}, "end"),
        ({"offers": ()}, "offers"),
        ({"holdout": 0.01}, "holdout"),
        ({"channel": "pigeon"}, "channel"),
        ({"contact_cost": float("nan")}, "contact_cost"),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused(changed: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRecord) as error:
        tea(**changed)
    assert error.value.field == field


def test_an_offer_needs_products() -> None:
    with pytest.raises(InvalidRecord, match="no products"):
        Offer(code="x")


def test_files_are_loaded_and_their_bad_rows_named(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "campaigns.csv"
    file.write_text(
        "campaign,title,start,end,offer,product,discount\n"
        "a,Tea,2024-06-01,2024-06-15,T,tea-0;tea-1,10%\n"
        "a,Tea,2024-06-01,2024-06-15,U,tea-2,0.2\n"
        "b,Backwards,2024-06-15,2024-06-01,T,tea-0,\n"
        "c,Empty,2024-06-01,2024-06-15,T,,\n"
    )
    loaded = load_campaigns(file, store).to_json()
    assert (loaded["read"], loaded["kept"], loaded["left_out"]) == (4, 2, 2)
    assert "not after the start" in loaded["problems"][0]["why"]
    assert "no products" in loaded["problems"][1]["why"]
    assert [offer.discount for offer in draft(store, "a").offers] == [0.1, 0.2]

    contacts = tmp_path / "contacts.csv"
    contacts.write_text("campaign_id,customer_id,group\na,c0,treatment\na,c1,control\nz,c1,control\na,,control\n")
    loaded = load_contacts(contacts, store).to_json()
    assert (loaded["kept"], loaded["left_out"]) == (2, 2)
    assert load_contacts(contacts, store).to_json()["already_recorded"] == 2
    arms = dict(store.campaign_record.contacts("a").select("customer", "arm").iter_rows())
    assert arms == {"c0": SENT, "c1": HELD_OUT}

    redeemed = tmp_path / "redeemed.csv"
    redeemed.write_text("campaign,customer,date,offer\na,c0,2024-06-03,T\na,c0,soon,T\n")
    loaded = load_redemptions(redeemed, store).to_json()
    assert (loaded["kept"], loaded["left_out"]) == (1, 1)

    consents = tmp_path / "consents.csv"
    consents.write_text("customer,consent\nc0,yes\nc1,no\nc2,perhaps\n")
    assert load_consents(consents, store).to_json()["left_out"] == 1
    assert store.campaign_record.consents() == {"c0": True, "c1": False}

    odd = tmp_path / "odd.csv"
    odd.write_text("one,two\n1,2\n")
    with pytest.raises(UnreadableFile, match="campaign"):
        load_contacts(odd, store)
    store.forget("c0")
    assert store.campaign_record.contacts("a")["customer"].to_list() == ["c1"]
    assert store.campaign_record.answers().is_empty()


def test_nothing_later_than_the_moment_is_read(store: Store) -> None:
    past = history(store)
    until = past.purchases.filter(pl.col("time") < to_micros(START - timedelta(days=60)))
    early = History(
        until.select("customer", "product", "time", "quantity", "price", "request_id"), past.kinds, [], past.answers
    )
    names = ["c0", "c1", "c2"]
    moment = START - timedelta(days=60)
    assert np.allclose(
        past.describe(names, ["tea-0"], moment)[:, :18], early.describe(names, ["tea-0"], moment)[:, :18], atol=0.3
    )


@given(st.integers(1, 6), st.integers(0, 1_000))
def test_logistic_regression_gives_chances_whose_mean_is_the_rate(width: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(300, width))
    y = draw.random(300) < 0.3
    model = Logistic(x, y)
    assert model.chance(x).mean() == pytest.approx(y.mean(), abs=1e-3)
    assert model.draws(x, 5).shape == (5, 300)


def test_held_out_is_drawn_once_and_about_as_often_as_said() -> None:
    drawn = [held_out("a", f"c{n}", 0.1) for n in range(5_000)]
    assert drawn == [held_out("a", f"c{n}", 0.1) for n in range(5_000)]
    assert 0.08 < np.mean(drawn) < 0.12


def test_what_runs_out_is_not_advertised(store: Store) -> None:
    """Each tea sells about 200 x 0.5 / 5 = 20 a week by itself until the record's last day."""
    moment = START - timedelta(days=7)
    plenty = [{"product": f"tea-{n}", "on_hand": 10_000} for n in range(5)]
    put_stock(store, [stock_row(row) for row in plenty])
    whole = audience(store, history(store), tea(), Rules(pays=False), moment)
    assert whole.warnings == [one for one in whole.warnings if one.key not in ("runs_out", "served")]
    put_stock(store, [stock_row({"product": "tea-0", "on_hand": 20}), stock_row({"product": "tea-1", "on_hand": 20})])
    without = audience(store, history(store), tea(), Rules(pays=False), moment)
    (said,) = [one for one in without.warnings if one.key == "runs_out"]
    assert said.values == {"products": "tea-0, tea-1"}
    assert not {"tea-0", "tea-1"} & {product for row in without.people["products"] for product in row}
    coming = {"product": "tea-1", "on_hand": 20, "on_order": 5_000, "due": f"{START + timedelta(days=2):%Y-%m-%d}"}
    put_stock(store, [stock_row(coming)])
    again = audience(store, history(store), tea(), Rules(pays=False), moment)
    assert [one.values for one in again.warnings if one.key == "runs_out"] == [{"products": "tea-0"}]
    sold = spare(store, history(store), [f"tea-{n}" for n in range(5)], moment, END)
    put_stock(store, [stock_row({"product": f"tea-{n}", "on_hand": 10_000 - sold[f"tea-{n}"] + 10}) for n in (2, 3, 4)])
    put_stock(store, [stock_row({"product": "tea-1", "on_hand": 0})])
    few = audience(store, history(store), tea(), Rules(pays=False), moment)
    assert few.summary["customers"] < whole.summary["customers"]
    assert few.summary["left_out"]["more than the stock serves"] > 0
    put_stock(store, [stock_row({"product": f"tea-{n}", "on_hand": 0}) for n in range(5)])
    with pytest.raises(NotEnoughData, match="run out"):
        audience(store, history(store), tea(), Rules(), moment)


def test_what_sells_by_itself_is_what_the_forecast_expects(store: Store) -> None:
    moment = START - timedelta(days=7)
    put_stock(store, [stock_row({"product": f"tea-{n}", "on_hand": 1_000}) for n in range(2)])
    usual = spare(store, history(store), ["tea-0", "tea-1"], moment, END)
    put_ahead(store, ["tea-0"], moment.date() - timedelta(days=3), np.array([[70.0, 140.0]]))
    left = spare(store, history(store), ["tea-0", "tea-1"], moment, moment + timedelta(days=21))
    midnight = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    gone = (moment - midnight) / timedelta(days=1)
    assert left["tea-0"] == pytest.approx(1_000 - 10 * (4 - gone) - 140 - 20 * (10 + gone))
    assert spare(store, history(store), ["tea-1"], moment, END)["tea-1"] == usual["tea-1"]
    later = moment + timedelta(days=60)  # the forecast is old then
    assert "tea-0" not in expected(store, ["tea-0"], later, later + timedelta(days=7))


def test_without_a_holdout_alike_others_are_shown_with_a_warning(store: Store) -> None:
    plan = tea()
    put(store, plan)
    names = [f"c{n}" for n in range(CUSTOMERS) if n % 4 < 2]  # tea drinkers and others alike
    blank = {"arm": SENT, "time": to_micros(START), "offer": "", "products": "[]", "reason": ""}
    rows = [{"campaign": plan.id, "customer": name, "response": None, "profit": None, **blank} for name in names]
    store.campaign_record.add_contacts(pl.DataFrame(rows, schema=CONTACT_COLUMNS))
    draw = np.random.default_rng(2)
    came = [
        _event(200_000 + n, n, "tea-0", START + timedelta(days=float(draw.uniform(0, 13))))
        for n in range(CUSTOMERS)
        if draw.random() < 0.1 + 0.3 * (n % 4 < 2)
    ]
    store.import_events([pl.DataFrame(came, schema=EVENT_COLUMNS, orient="row")])
    result = measure(store, history(store), plan, END)
    assert result["effect"] is None
    observed = result["observed"]
    assert observed["low"] < 0.3 < observed["high"]
    assert observed["low"] > 0
    assert {one.key for one in result["warnings"]} == {"nobody_held", "adjusted"}


def test_a_campaign_that_came_with_the_record_is_seen_and_measured(store: Store) -> None:
    names = tuple(f"c{n}" for n in range(150))
    old = Campaign(id="old", title="Old", start=START - timedelta(days=60), end=START, customers=names)
    store.put_campaigns([old, Campaign(id="bare", start=START, end=END)])
    coupons = {"campaign": ["old", "old"], "coupon": ["A", "B"], "product": ["tea-0", "soap-1"]}
    store.put_table("coupons", pl.DataFrame(coupons))
    assert [one.id for one in every(store)] == ["old"], "without products there is nothing to show"
    assert {one.code: one.products for one in draft(store, "old").offers} == {"A": ("tea-0",), "B": ("soap-1",)}
    result = measure(store, history(store), draft(store, "old"), END)
    assert (result["sent"], result["held_out"]) == (150, 0)
    assert result["observed"]["low"] < 0 < result["observed"]["high"], "the addressed are like the others"
    put(store, tea(id="old"))
    assert draft(store, "old").offers[0].code == "T10", "what is drafted here stands before it"
    assert len(every(store)) == 1


def test_reasons_are_read_again() -> None:
    assert (reason(bought(3, "Tea: {x}")).key, reason(bought(3, "Tea: {x}")).values["title"]) == ("bought", "Tea: {x}")
    assert bought(3, "Tea") == str(reason(bought(3, "Tea")))
    assert (reason("popular").key, reason("").key) == ("popular", "popular")
    assert (reason("a friend").key, str(reason("a friend"))) == ("other", "a friend")
