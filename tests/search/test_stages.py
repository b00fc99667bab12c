"""Each stage of a search beside the others, with the encoder and with words alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.schema import Availability, Product, Rule, RuleAction
from shelfwise.search.request import SearchRequest
from shelfwise.search.stages import stages
from shelfwise.shop import Shop

PRODUCTS = [
    Product(id="sofa", title="Grey sofa", price=900.0),
    Product(id="couch", title="Comfortable couch for three", price=800.0),
    Product(id="bed", title="Sofa bed", price=500.0),
    Product(id="gone", title="Sofa of old", availability=Availability.OUT_OF_STOCK),
    Product(id="lamp", title="Desk lamp", price=30.0),
]


def test_words_and_meaning_propose_and_the_rules_have_the_last_word(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", image_encoder="none", durable=False) as shop:
        shop.put_products(PRODUCTS)
        shop.store.put_rules([Rule(action=RuleAction.PIN, products=("lamp",), query="sofa")], "test")
        shop.searching.indexes.complete()
        shop.refresh()
        answer, found = stages(shop.searching, SearchRequest(query="sofa"), k=3)
        by = {stage.name: stage.products for stage in found}
        assert list(by) == ["words", "meaning", "fused", "answer"]
        assert {placed.product for placed in by["words"]} >= {"sofa", "bed"}
        assert not {"meaning", "alike"} & {name for placed in by["words"] for name in placed.parts}
        assert "couch" in [placed.product for placed in by["meaning"]], "no word of it is in the query"
        assert "gone" not in {placed.product for stage in found for placed in stage.products}
        assert (by["answer"][0].product, by["answer"][0].ruled) == ("lamp", True)
        assert by["answer"][1].was == 1
        assert [placed.product for placed in by["answer"]] == [hit.product for hit in answer.items[:3]]
        for stage in found[:3]:
            scores = [placed.score for placed in stage.products]
            assert scores == sorted(scores, reverse=True)
        for placed in (*by["words"], *by["fused"]):
            assert placed.score == pytest.approx(sum(placed.parts.values()))
        everything = SearchRequest(query="sofa", filters=SearchFilters(availability=None))
        assert "gone" in {placed.product for placed in stages(shop.searching, everything)[1][0].products}


def test_without_vectors_words_answer_alone(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none", durable=False) as shop:
        shop.put_products(PRODUCTS)
        answer, found = stages(shop.searching, SearchRequest(query="lmap"))
        assert answer.corrected == "lamp" or answer.did_you_mean == "lamp" or answer.items
        assert found[1].products == ()
        assert [placed.product for placed in found[3].products][:1] == ["lamp"]
