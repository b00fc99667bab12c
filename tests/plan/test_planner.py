"""Forecasts and orders of a shop's record, and the commands that show them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from shelfwise.cli.app import app
from shelfwise.errors import InvalidRecord, InvalidRequest, NotEnoughData, UnknownProduct, UnreadableFile
from shelfwise.plan.demand.record import sales_panel, without_silence
from shelfwise.plan.inventory.orders import pressure
from shelfwise.plan.inventory.simulated import SIMULATED, simulate_stock
from shelfwise.plan.inventory.stock import stock_row
from shelfwise.plan.planner import Planner
from shelfwise.schema import Availability, Event, EventType, Product
from shelfwise.serve.web.console.stock import stock_page
from shelfwise.shop import Shop
from shelfwise.store.pressure import pressure_of

END = datetime(2026, 9, 7, tzinfo=UTC)
WEEKS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty products of two categories: p0 … p29 sell 1 to 30 a week; p3 is new and p4 was never sold."""
    path = tmp_path_factory.mktemp("plan") / "shop"
    rng = np.random.default_rng(0)
    with Shop.create(path, durable=False) as shop:
        shop.put_products(
            [
                Product(id=f"p{i}", title=f"Product {i}", product_type="Tea" if i % 2 else "Coffee > Beans", price=5.0)
                for i in range(30)
            ]
        )
        events = []
        for i in range(30):
            for week in range(WEEKS):
                if i == 4 or (i == 3 and week < 30):
                    continue
                for _ in range(rng.poisson(i + 1)):
                    at = END - timedelta(days=7 * (WEEKS - week) - float(rng.uniform(0, 6.99)))
                    events.append(Event(type=EventType.PURCHASE, time=at, customer="c", product=f"p{i}", price=5.0))
        last = Event(type=EventType.PURCHASE, time=END + timedelta(hours=1), customer="c", product="p0", price=5.0)
        shop.append_events([*events, last])
    return path


@pytest.fixture(scope="module")
def shop(folder: Path) -> Iterator[Shop]:
    """One for all tests: its forecast is made once."""
    with Shop(folder) as opened:
        yield opened


STOCK = "product,on_hand,on_order,due,lead_time,unit_cost,pack,supplier\n"


@pytest.fixture
def stocked(shop: Shop, tmp_path: Path) -> Shop:
    file = tmp_path / "stock.csv"
    lines = [f"p{i},{4 * (i + 1)},0,,14,2.5,6,Hill" for i in range(28)]
    file.write_text(STOCK + "\n".join([*lines, "p28,0,0,,14,2.5,6,Hill", "p29,100000,0,,14,2.5,,"]))
    kept, problems = shop.planner.load_stock(file)
    assert (kept, problems) == (30, [])
    return shop


def test_the_panel_is_the_records_sales(shop: Shop) -> None:
    panel = sales_panel(shop.store)
    assert len(panel) == 29
    assert panel.date_of(panel.periods) == END.date()
    assert panel.periods == WEEKS
    new = panel.ids.index("p3")
    assert np.isnan(panel.y[new, :30]).all()
    purchases = sum(frame.height for frame in shop.store.event_frames(types=[EventType.PURCHASE]))
    assert np.nansum(panel.y) == purchases - 1  # today is not over


def test_forecasts_are_near_what_sells(shop: Shop) -> None:
    table = shop.forecast(weeks=3)
    assert table.columns[:3] == ["product", "start", "mean"]
    assert table["start"].min() == END.date()
    means = dict(table.group_by("product").agg(pl.col("mean").mean()).iter_rows())
    for i in (9, 19, 29):
        assert means[f"p{i}"] == pytest.approx(i + 1, rel=0.35)
    assert (table["q05"] <= table["q95"]).all()


def test_categories_sum_their_products(shop: Shop) -> None:
    products = shop.forecast(weeks=2)["mean"].sum()
    table = shop.forecast(weeks=2, by="category")
    assert set(table["category"]) == {"Tea", "Coffee"}
    assert table["mean"].sum() == pytest.approx(products, rel=1e-3)


def test_a_product_never_sold_is_likened_to_others(shop: Shop) -> None:
    table = shop.forecast(weeks=2, products=["p4"])
    assert table.height == 2
    assert (table["mean"] > 0).all()


def test_questions_without_sense_are_refused(shop: Shop) -> None:
    with pytest.raises(UnknownProduct):
        shop.forecast(products=["nothing"])
    for options in ({"by": "colour"}, {"days": 2, "weeks": 2}, {"weeks": 0}, {"weeks": 10_000}):
        with pytest.raises(InvalidRequest):
            shop.forecast(**options)


def test_the_order_list(stocked: Shop) -> None:
    lines = {line.product: line for line in stocked.orders()}
    assert len(lines) == 30
    assert lines["p28"].status == "runs_out"
    assert lines["p28"].quantity > 0
    assert lines["p29"].status == "overstock"
    assert lines["p29"].quantity == 0
    for line in lines.values():
        assert line.quantity >= 0
        assert line.quantity % 6 == 0 or line.product == "p29"
        assert {"review", "holding_cost", "service_level"} <= set(line.assumed)
        assert "lead_time" not in line.assumed
        assert str(int(line.quantity)) in line.why or not line.quantity


def test_the_order_list_presses_on_answers_where_the_dial_is_set(stocked: Shop) -> None:
    lines = stocked.orders()
    assert pressure_of(stocked.store) == {}
    dialled = Planner(stocked.store, stocked.settings.model_copy(update={"stock_dial": 0.3}))
    dialled.orders()
    kept = pressure_of(stocked.store)
    assert kept == pytest.approx(pressure(lines))
    assert kept["p28"] < -0.5  # runs out
    assert kept["p29"] == 1.0  # overstock for years
    assert all(-1 <= value <= 1 for value in kept.values())


def test_simulated_stock_says_so(shop: Shop) -> None:
    shop.store.drop_table("stock")
    try:
        assert simulate_stock(shop.store) == 29
        table = shop.planner.stock()
        assert set(table["supplier"]) == {SIMULATED}
        assert (table["on_hand"] >= 0).all()
        assert table["on_hand"].max() > 0
        assert stock_page(shop).invented
    finally:
        shop.store.drop_table("stock")


def test_accuracy_so_far(shop: Shop) -> None:
    made = shop.planner.accuracy(weeks=3)
    panel = sales_panel(shop.store)
    assert made.starts == [panel.date_of(panel.periods - 3 + week) for week in range(3)]
    assert sum(made.came) == pytest.approx(np.nansum(panel.y[:, -3:]))
    assert abs(made.bias) < 0.3
    assert made.bias == pytest.approx(sum(made.expected) / sum(made.came) - 1)
    assert 0.5 < made.cover <= 1
    off = [abs(one.expected - one.came) for one in made.misses]
    assert off == sorted(off, reverse=True)
    with pytest.raises(NotEnoughData):
        shop.planner.accuracy(weeks=35)


def test_a_budget_is_kept(stocked: Shop) -> None:
    everything = sum(line.cost or 0 for line in stocked.orders())
    lines = stocked.orders(budget=everything / 3)
    spent = sum(line.cost or 0 for line in lines)
    assert 0 < spent <= everything / 3
    with pytest.raises(InvalidRequest):
        stocked.orders(budget=-1.0)


def test_stock_of_some_products_keeps_the_others(stocked: Shop) -> None:
    due = (END.date() + timedelta(days=3)).isoformat()
    assert stocked.planner.put_stock([{"product": "p28", "on_hand": 0, "on_order": 500, "due": due}]) == 1
    table = stocked.planner.stock()
    assert table.height == 30
    assert {line.product: line for line in stocked.orders()}["p28"].quantity == 0
    with pytest.raises(InvalidRecord):
        stocked.planner.put_stock([{"product": "p1", "on_hand": -1}])
    assert stocked.planner.stock().equals(table)


@pytest.mark.parametrize(
    "values",
    [
        {"on_hand": 1},
        {"product": "a"},
        {"product": "a", "on_hand": "many"},
        {"product": "a", "on_hand": float("nan")},
        {"product": "a", "on_hand": 1, "due": "soon"},
        {"product": "a", "on_hand": 1, "pack": 0},
        {"product": "a", "on_hand": 1, "service_level": 95},
    ],
)
def test_wrong_stock_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidRecord):
        stock_row(values)


def test_a_stock_file_that_cannot_be_read_changes_nothing(stocked: Shop, tmp_path: Path) -> None:
    before = stocked.planner.stock()
    for text in ("a,b\n1,2\n", "product,on_hand,colour\np1,1,red\n", "product,on_hand\np1,many\n", ""):
        file = tmp_path / "bad.csv"
        file.write_text(text)
        with pytest.raises(UnreadableFile):
            stocked.planner.load_stock(file)
    assert stocked.planner.stock().equals(before)


def test_without_stock_or_sales_it_says_so(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", durable=False) as empty:
        with pytest.raises(NotEnoughData, match="purchase"):
            empty.forecast()
        with pytest.raises(NotEnoughData, match="load stock"):
            empty.orders()


def test_a_long_silence_is_an_empty_shelf() -> None:
    y = np.full((4, 60), 5.0, np.float32)
    y[0, 20:30] = 0  # silence, then sales again
    y[1, 50:] = 0  # silence to the end, not in stock
    y[2, 50:] = 0  # silence to the end, in stock: it no longer sells
    y[3, ::2] = 0  # it sells every other period
    masked, count = without_silence(y, np.array([False, True, False, False]))
    assert np.isnan(masked[0, 20:30]).all()
    assert np.isnan(masked[1, 50:]).all()
    assert np.isfinite(masked[2:]).all()
    assert count == 20


def test_what_is_sold_out_now_counts_as_unknown(shop: Shop) -> None:
    shop.put_products([Product(id="p25", availability=Availability.OUT_OF_STOCK, product_type="Tea")])
    assert sales_panel(shop.store).periods == WEEKS


def test_the_commands(stocked: Shop, tmp_path: Path) -> None:
    run = CliRunner()
    place = ["--shop", str(stocked.folder)]
    answer = run.invoke(app, ["forecast", "--weeks", "2", "--product", "p9", "--json", *place])
    assert answer.exit_code == 0, answer.output
    assert len(json.loads(answer.stdout)["forecast"]) == 2
    answer = run.invoke(app, ["orders", "--out", str(tmp_path / "orders.csv"), *place])
    assert answer.exit_code == 0, answer.output
    assert pl.read_csv(tmp_path / "orders.csv")["quantity"].min() > 0  # type: ignore[operator]
    assert "taken from the settings" in answer.stdout
    answer = run.invoke(app, ["orders", "--json", "--date", str(date(2026, 8, 1)), *place])
    assert answer.exit_code == 0, answer.output
    file = tmp_path / "stock.csv"
    file.write_text(STOCK + "p1,3,,,,,,\np2,x,,,,,,\n")
    answer = run.invoke(app, ["load", "stock", str(file), "--json", *place])
    assert json.loads(answer.stdout) == {
        "kept": 1,
        "dropped": [{"line": 3, "problem": "on_hand: must be a number, not 'x'"}],
    }


def test_the_benchmark_commands(tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    rng = np.random.default_rng(0)
    pl.DataFrame(
        {
            "unique_id": np.repeat([f"s{i}" for i in range(20)], 60),
            "ds": [str(date(2024, 1, 1) + timedelta(days=7 * t)) for t in range(60)] * 20,
            "y": rng.poisson(5, 1200),
        }
    ).write_csv(file)
    run = CliRunner()
    answer = run.invoke(app, ["benchmark", "demand", str(file), "--horizon", "4", "--only", "engine", "--json"])
    assert answer.exit_code == 0, answer.output
    (row,) = json.loads(answer.stdout)["rows"]
    assert {"name", "wql", "mase", "wape", "bias", "cover80", "cover90", "fit_seconds", "predict_seconds"} <= set(row)
    options = ["--lead-time", "1", "--review", "1", "--rounds", "2", "--holding", "0.2", "--shortage", "1", "--json"]
    answer = run.invoke(app, ["benchmark", "orders", str(file), *options])
    assert answer.exit_code == 0, answer.output
    assert {"name", "cost", "holding", "shortage", "fill_rate"} <= set(json.loads(answer.stdout)["rows"][0])
