from __future__ import annotations

from pathlib import Path

import pytest

from shelfwise.errors import UnreadableFile
from shelfwise.evaluation.search_benchmark import ndcg, read_judgments, rerank, search_benchmark
from shelfwise.schema import Product
from shelfwise.shop import Shop


def test_ndcg() -> None:
    assert ndcg([3, 2, 0], [0, 2, 3]) == 1
    assert ndcg([0, 3], [3, 0]) == pytest.approx(0.6309, abs=1e-4)
    assert ndcg([0], [0]) == 0


def test_judged_queries_are_measured_beside_bm25(tmp_path: Path) -> None:
    judgments = tmp_path / "judgments.csv"
    judgments.write_text("query,product_id,rating\nred mug,a,3\nred mug,b,0\nblue mug,b,3\nnothing,a,0\n")
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        shop.put_products([Product(id="a", title="Red mug"), Product(id="b", title="Blue mug"), Product(id="c")])
        result = search_benchmark(shop.searching, shop.store.products_frame(), judgments)
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == ["engine", "words", "meaning", "fused", "learned", "bm25-title", "bm25"]
    for name in ("engine", "words", "bm25"):
        assert rows[name]["ndcg@10"] == rows[name]["condensed_ndcg@10"] == rows[name]["recall@100"] == 1
        assert rows[name]["p99_ms"] >= rows[name]["p50_ms"] > 0
    assert rows["meaning"]["ndcg@10"] == 0


@pytest.mark.parametrize("text", ["query,rating\na,1\n", "query,product_id,rating\na,b,much\n"])
def test_unreadable_judgments_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "judgments.csv"
    path.write_text(text)
    with pytest.raises(UnreadableFile):
        read_judgments(path)


def test_rerank(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(
        "query,title,rating\nwireless mouse,Garden hose 10 m,0\nwireless mouse,Wireless mouse with USB receiver,3\n"
        "wireless mouse,Mouse mat,1\ngarden hose,Garden hose 10 m,3\ngarden hose,Mouse mat,0\n"
    )
    result = rerank(path, tmp_path)
    assert [row["name"] for row in result["rows"]] == ["engine", "bm25"]
    assert result["rows"][0]["ndcg@10"] == 1
    assert (result["queries"], result["pairs"]) == (2, 5)
