"""A reason names what decided: without it the product falls."""

from __future__ import annotations

import pytest

from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.explanations import STEPS, explanations
from shelfwise.training.learn import EngineModel
from tests.training.test_pipeline import ITEMS, SMALL, shop


def test_what_reasons_name_decides() -> None:
    past = shop()
    bundle = EngineModel(settings=SMALL, with_network=False).fit(past, ITEMS).bundle
    assert bundle is not None
    engine = Engine(bundle, Catalogue(bundle))
    found = explanations(engine, past, asked=60)
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["home"]["fell"] > 0.8
    assert rows["home"]["fell"] > 2 * rows["home"]["random_fell"]
    assert rows["home"]["places"] > 3 * rows["home"]["random_places"]
    curves = {curve["name"]: curve["1/rank"] for curve in found["curves"]}
    assert {len(curve) for curve in curves.values()} == {STEPS + 1}
    assert sum(curves["deletion"]) < sum(curves["deletion, random"])
    assert sum(curves["insertion"]) > sum(curves["insertion, random"])
    assert 0 <= found["popular"] <= 1
    with pytest.raises(NotEnoughData, match="load events"):
        explanations(engine, past.before(0), asked=5)
