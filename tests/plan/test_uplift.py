"""Uplift: known effects are found, absent ones are not, and what gives the end away stays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.plan.campaigns.experiment import Experiment, experiment, read_table
from shelfwise.plan.campaigns.learners import LEARNERS, Sample, proportional, scores
from shelfwise.plan.campaigns.logit import contact_regression, newton, sigmoid
from shelfwise.plan.campaigns.qini import effect, effect_interval, qini, qini_curve
from shelfwise.plan.campaigns.uplift import uplift_benchmark


def coupon(n: int = 6_000, *, varied: float = 0.25, flat: float = 0.0, seed: int = 0) -> pl.DataFrame:
    """A coupon's test: who likes sales buys more with it by `varied`, everybody by `flat`."""
    draw = np.random.default_rng(seed)
    sales, visits = draw.random(n) < 0.4, draw.poisson(4, n)
    sent = draw.random(n) < 0.5
    chance = 0.1 + 0.01 * visits + sent * (flat + varied * sales)
    bought = draw.random(n) < chance
    redeemed = bought & sent & (draw.random(n) < 0.7)
    days = draw.integers(0, 400, n)
    return pl.DataFrame(
        {
            "client_id": [f"c{number}" for number in draw.permutation(n)],
            "row": np.arange(n),
            "age": [None if draw.random() < 0.1 else int(age) for age in draw.integers(18, 80, n)],
            "likes_sales": np.where(sales, "yes", "no"),
            "visits_before": visits,
            "joined": [f"2023-{1 + day // 31 % 12:02}-{1 + day % 28:02}" for day in days],
            "town": draw.choice(["Ulm", "Bonn", "Köln"], n),
            "country": "DE",
            "coupon": np.where(sent, "20% off", "nothing"),
            "redeemed_on": [
                f"2024-05-{1 + day % 28:02}" if used else None for used, day in zip(redeemed, days, strict=True)
            ],
            "basket": np.where(bought, draw.gamma(2, 20, n), 0).round(2),
            "bought": bought.astype(int),
        }
    )


def read(frame: pl.DataFrame, **options: Any) -> Experiment:
    return experiment(frame, "coupon", "bought", **{"control": "nothing", **options})


def test_a_varied_effect_is_found_and_a_part_is_addressed() -> None:
    result = uplift_benchmark(read(coupon(4_000)), cost=0.1, splits=3)
    (one,) = result["comparisons"]
    chosen, response, chance = one["rows"][0], one["rows"][-2], one["rows"][-1]
    assert chosen["low"] > 0
    assert chosen["qini"] > chance["qini"] + 0.05
    assert chosen["qini"] > response["qini"] - 0.02
    assert chosen["share_of_effect@30"] > 0.5
    assert one["verdict"] == "some"
    assert 0.2 <= one["verdict_share"] <= 0.6
    assert result["randomised"]


@pytest.mark.parametrize(("flat", "cost", "verdict"), [(0.2, 0.05, "all"), (0.02, 0.2, "none")])
def test_an_effect_alike_for_all_is_sent_to_all_or_none(flat: float, cost: float, verdict: str) -> None:
    (one,) = uplift_benchmark(read(coupon(3_000, varied=0, flat=flat)), cost=cost, splits=4)["comparisons"]
    assert one["verdict"] == verdict
    assert one["rows"][0]["low"] <= 0 <= one["rows"][0]["high"]
    assert "Personalising brings nothing" in one["text"]


def test_columns_are_chosen_by_what_they_do() -> None:
    test = read(coupon())
    assert set(test.used) == {"age", "likes_sales", "visits_before", "joined", "town"}
    reasons = {one.column: one.reason for one in test.left_out}
    assert reasons["client_id"].startswith("an id")
    assert reasons["row"].startswith("an id")
    assert "outcome" in reasons["basket"]
    assert "the same" in reasons["country"]
    assert "redeemed_on" in reasons


def test_columns_can_be_named() -> None:
    assert read(coupon(), features=["age", "basket"]).used == ("age", "basket")
    assert "town" not in read(coupon(), exclude=["town"]).used
    with pytest.raises(InvalidRequest, match="nowhere"):
        read(coupon(), exclude=["nowhere"])


def test_hillstroms_other_outcomes_stay_out(data: Path) -> None:
    frame = read_table(data / "hillstrom.csv.gz").sample(20_000, seed=0)
    outcomes = {"visit", "conversion", "spend"}
    for outcome in outcomes:
        test = experiment(frame, "segment", outcome)
        assert test.control == "No E-Mail"
        assert not outcomes & set(test.used)
        assert {"recency", "history", "womens", "channel"} <= set(test.used)
        assert test.random


def test_control_is_recognised_or_asked_for() -> None:
    assert read(coupon().with_columns(coupon=pl.col("coupon") == "20% off"), control=None).control == "false"
    said = pl.when(pl.col("coupon") == "20% off").then(pl.lit("ja")).otherwise(pl.lit("nein"))
    assert read(coupon().with_columns(coupon=said), control=None).control == "nein"
    with pytest.raises(InvalidRequest, match="left alone"):
        read(coupon().with_columns(coupon=pl.col("coupon").replace("nothing", "leaflet")), control=None)
    with pytest.raises(InvalidRequest, match="never"):
        read(coupon(), control="somebody")


def test_one_arm_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="one arm only"):
        read(coupon().filter(pl.col("coupon") == "nothing"))


def test_a_missing_outcome_is_left_out_with_a_warning() -> None:
    frame = coupon().with_columns(bought=pl.when(pl.int_range(pl.len()) % 50 == 0).then(None).otherwise("bought"))
    test = read(frame, features=["age"])
    assert len(test) == 6_000 - 120
    assert any("120 rows have no 'bought'" in warning for warning in test.warnings)


def test_a_treatment_that_follows_from_the_customer_is_refused() -> None:
    frame = coupon().with_columns(
        coupon=pl.when(pl.col("visits_before") > 4).then(pl.lit("sent")).otherwise(pl.lit("nothing"))
    )
    with pytest.raises(InvalidRequest, match="visits_before"):
        read(frame, exclude=["redeemed_on"])


def test_a_treatment_that_leans_on_the_customer_is_adjusted_with_a_warning() -> None:
    n = 8_000
    draw = np.random.default_rng(3)
    rich = draw.random(n)
    sent = draw.random(n) < 0.2 + 0.6 * rich
    bought = draw.random(n) < 0.1 + 0.5 * rich + 0.1 * sent
    frame = pl.DataFrame({"rich": rich, "other": draw.random(n), "coupon": sent, "bought": bought})
    test = experiment(frame, "coupon", "bought")
    assert not test.random
    assert 0.9 < test.overlap <= 1
    assert "not drawn at random" in test.warnings[0]
    (one,) = uplift_benchmark(test, splits=2)["comparisons"]
    assert abs(one["effect"]["value"] - 0.1) < abs(effect(test.outcome, test.arm == 0) - 0.1) / 2


def test_several_arms_are_compared_with_the_best_personal_choice() -> None:
    draw = np.random.default_rng(5)
    n = 4_500
    arm, taste = draw.integers(0, 3, n), draw.integers(0, 2, n)
    chance = 0.1 + 0.3 * ((arm > 0) & (arm - 1 == taste))
    frame = pl.DataFrame(
        {
            "taste": taste,
            "age": draw.integers(18, 80, n),
            "mail": np.array(["none", "a", "b"])[arm],
            "bought": draw.random(n) < chance,
        }
    )
    result = uplift_benchmark(experiment(frame, "mail", "bought"), splits=2)
    assert len(result["comparisons"]) == 2
    assert result["policies"]["verdict"] == "personal"
    same = frame.with_columns(bought=pl.Series(draw.random(n) < 0.1 + 0.1 * (arm == 1)))
    assert uplift_benchmark(experiment(same, "mail", "bought"), splits=2)["policies"]["verdict"] == "a for all"


def test_qini_is_one_for_the_best_order_and_zero_without_one() -> None:
    outcome, treated = np.array([1.0, 0, 0, 1, 1, 0, 0, 0]), np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
    assert qini(np.where(treated, outcome, -outcome), outcome, treated) == pytest.approx(1)
    assert qini(np.zeros(8), outcome, treated) == pytest.approx(0)
    assert qini_curve(np.zeros(8), outcome, treated).gain[-1] == pytest.approx(4 * effect(outcome, treated))
    with pytest.raises(NotEnoughData):
        qini(np.arange(8.0), np.zeros(8), treated)


def test_the_effects_interval_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        treated = draw.random(400) < 0.5
        _, low, high = effect_interval((draw.random(400) < 0.3 + 0.1 * treated).astype(float), treated)
        inside += low <= 0.1 <= high
    assert inside >= 270


def test_what_is_no_table_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        read_table(tmp_path / "nothing.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(UnreadableFile):
        read_table(empty)


def test_amounts_and_words_as_people_write_them(tmp_path: Path) -> None:
    lines = [
        f"{'Kontrolle' if n % 2 else 'Gutschein'};{'k.A.' if n % 9 == 0 else n % 60};1.{n % 900 + 100},50 €;"
        f"{'ja' if n % 7 == 0 else 'nein'};{n % 5},5 €"
        for n in range(600)
    ]
    path = tmp_path / "test.csv"
    path.write_bytes("\n".join(["Gruppe;Alter;Vorjahr;gekauft;Umsatz", *lines]).encode("cp1252"))
    table = read_table(path)
    assert table["Vorjahr"][:2].to_list() == [1100.5, 1101.5]
    assert table["Alter"][:2].to_list() == [None, 1]
    made = experiment(table, "Gruppe", "gekauft")
    assert made.control == "Kontrolle"
    assert made.outcome.sum() == 86
    assert experiment(table, "Gruppe", "Umsatz").outcome.max() == 4.5
    english = tmp_path / "english.csv"
    english.write_text('a,b,c\n"1,299.00",$3,12\n"2,000.50",$4,x-1\n')
    assert read_table(english).rows() == [(1299.0, 3.0, "12"), (2000.5, 4.0, "x-1")]


def test_separators_and_spaces_are_recognised(tmp_path: Path) -> None:
    path = tmp_path / "german.csv"
    path.write_bytes("Kunde; Stadt \n1;Köln\n2;Bonn\n".encode("latin-1"))
    assert read_table(path).columns == ["Kunde", "Stadt"]


def test_a_number_told_again_in_steps_is_left_out() -> None:
    steps = pl.lit("v") + (pl.col("visits_before") // 2).clip(0, 4).cast(pl.String)
    frame = coupon().with_columns(visits_step=steps)
    wide = frame.with_columns(visits_before=pl.col("visits_before") + pl.int_range(pl.len()) % 7 / 10)
    reasons = {one.column: one.reason for one in read(wide).left_out}
    assert reasons["visits_step"] == "says 'visits_before' again, in steps"
    assert "town" not in reasons
    assert "visits_step" in read(wide, features=["visits_step", "visits_before"]).used


def test_the_regression_finds_whom_a_contact_changes() -> None:
    draw = np.random.default_rng(0)
    n = 8_000
    x = draw.standard_normal((n, 3))
    contacted = draw.random(n) < 0.5
    base = -1 + 0.8 * x[:, 0] * x[:, 1]
    chance = np.full(n, 0.5)

    def probability(arm: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-(base + arm * (0.2 + 0.6 * x[:, 2])))))

    truth = probability(np.ones(n)) - probability(np.zeros(n))
    outcome = (draw.random(n) < probability(contacted)).astype(float)
    change = contact_regression(x, contacted, chance, outcome)(x, chance)
    assert np.corrcoef(change, truth)[0, 1] > 0.9
    assert abs(change.mean() - truth.mean()) < 0.03
    amount = 50 + 3 * x[:, 0] + contacted * (2 + 4 * x[:, 2]) + draw.standard_normal(n)
    money = contact_regression(x, contacted, chance, amount)(x, chance)
    assert np.corrcoef(money, x[:, 2])[0, 1] > 0.98
    assert abs(money.mean() - 2) < 0.3
    nobody = contact_regression(x, contacted, chance, (draw.random(n) < 0.3).astype(float))(x, chance)
    assert np.abs(nobody).mean() < 0.05


def _shop(*, amounts: bool, seed: int = 5) -> Sample:
    """Who bought often buys again; a contact makes all buy 40% oftener. The outcome: what was spent, or 0 and 1."""
    random = np.random.default_rng(seed)
    often, days = random.exponential(3, 4_000).round(), random.integers(1, 365, 4_000).astype(float)
    treated = random.random(4_000) < 0.5
    bought = random.random(4_000) < (0.04 + 0.02 * np.minimum(often, 5)) * np.where(treated, 1.4, 1)
    x = np.column_stack([often, days])
    outcome = np.where(bought, random.gamma(2, 25, 4_000), 0) if amounts else bought.astype(float)
    return Sample(x, (x - x.mean(0)) / x.std(0), treated, outcome, np.full(4_000, 0.5))


def test_a_proportional_effect_keeps_its_sum_and_follows_what_is_spent_anyway() -> None:
    sample = _shop(amounts=True)
    expected = proportional(sample)(sample)
    gain = sample.outcome[sample.treated].mean() - sample.outcome[~sample.treated].mean()
    assert expected.mean() == pytest.approx(gain, rel=1e-6)
    assert np.corrcoef(expected, np.minimum(sample.trees[:, 0], 5))[0, 1] > 0.7


def test_amounts_alone_are_drawn_to_a_proportional_effect() -> None:
    rest = list(LEARNERS)[1:]
    for amounts, names in ((True, [*LEARNERS]), (False, rest)):
        sample = _shop(amounts=amounts)
        made = scores(sample, sample)
        assert list(made) == names
    sample = _shop(amounts=True)
    made = scores(sample, sample)
    assert made["logit + level"] == pytest.approx((made["logit"] + proportional(sample)(sample)) / 2)
    assert made["logit + level"] == pytest.approx(LEARNERS["logit + level"](sample, 0)(sample))


def test_newton_finds_the_ridge_solution() -> None:
    draw = np.random.default_rng(1)
    design = np.column_stack([np.ones(500), draw.standard_normal((500, 2))])
    outcome = (draw.random(500) < 0.4).astype(float)
    ridge = np.array([0.0, 5.0, 5.0])
    weights, curve = newton(design, outcome, ridge)
    slope = design.T @ (outcome - sigmoid(design @ weights)) - ridge * weights
    assert np.abs(slope).max() < 1e-4
    assert curve == pytest.approx(curve.T)


def test_newton_goes_no_way_up_where_a_column_is_rare() -> None:
    draw = np.random.default_rng(2)
    rare = (draw.random(20_000) < 0.0005).astype(float)
    design = np.column_stack([np.ones(20_000), (rare - rare.mean()) / rare.std()])
    outcome = (draw.random(20_000) < np.where(rare > 0, 0.9, 0.1)).astype(float)
    weights, _ = newton(design, outcome, np.array([0.0, 0.1]), np.array([-2.0, -1.5]))
    slope = design.T @ (outcome - sigmoid(design @ weights)) - np.array([0.0, 0.1]) * weights
    assert np.abs(slope).max() < 0.1
    assert weights[1] > 0


def test_dates_are_read_and_rare_levels_left_out() -> None:
    draw = np.random.default_rng(4)
    frame = coupon().with_columns(
        joined=pl.col("joined").str.replace(r"(\d+)-(\d+)-(\d+)", "$2/$3/$1"),
        seen=pl.lit("2024-02-0") + pl.Series(draw.integers(1, 9, 6_000)).cast(pl.String) + "T10:30:00",
        street=pl.Series(draw.integers(0, 900, 6_000)).cast(pl.String) + " High Street",
    )
    test = read(frame)
    assert {"joined", "seen"} <= set(test.names)
    reasons = {one.column: one.reason for one in test.left_out}
    assert reasons["street"].endswith("none of them of 100 customers")


def test_too_rare_an_outcome_is_refused() -> None:
    frame = coupon().with_columns(bought=pl.int_range(pl.len()) < 12)
    with pytest.raises(NotEnoughData, match="all but 12 customers"):
        read(frame)


def test_what_harms_is_sent_to_none_without_more_words() -> None:
    (one,) = uplift_benchmark(read(coupon(3_000, flat=0.1), control="20% off"), splits=2)["comparisons"]
    assert one["verdict"] == "none"
    assert "take the first" not in one["text"]


def test_without_a_column_that_describes_a_customer_each_ones_reason_is_said() -> None:
    frame = coupon().select("coupon", "bought", "client_id", group=pl.col("coupon").str.to_uppercase())
    with pytest.raises(NotEnoughData, match=r"'client_id': an id.*'group': says the treatment in other words"):
        read(frame)
