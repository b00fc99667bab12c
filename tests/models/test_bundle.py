from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shelfwise.errors import BundleError
from shelfwise.models.bundle import ARTEFACTS, Bundle, read_manifest
from shelfwise.models.bundles import Bundles
from shelfwise.models.content import ContentSpace
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.index import VectorIndex
from shelfwise.models.network import NetworkConfig
from shelfwise.models.popularity import Popularity
from shelfwise.models.ranker import Linear, Ranker
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import IdMap
from shelfwise.testing import simulated_catalogue
from shelfwise.training.network_module import NetworkModule

N = 120


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    shop = simulated_catalogue(N, customers=80, events_each=8, width=16)
    items, events = shop.items, shop.sequences
    weights = np.arange(2, dtype=np.float32)
    return Bundle.make(
        items=IdMap(f"p{row}" for row in range(N)),
        features=items,
        artefacts={
            "popularity": Popularity(half_life=30).fit(events, items),
            "repurchase": Repurchase(half_life=90, rhythm=0.25).fit(events, items),
            "cooccurrence": Cooccurrence().fit(events, items),
            "ease": Ease(products=50).fit(events, items),
            "network": NetworkModule(NetworkConfig(items=N, width=16, hidden=16, text=16), items).frozen(),
            "ranker": Ranker(("a", "b"), {"home": Linear(weights), "new": Linear(-weights)}),
        },
        until=int(events.time.max()),
        learned={"events": events.rows},
        metrics={"ndcg@12": 0.25},
        settings={"network": "gru"},
    )


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def test_what_is_saved_is_what_is_loaded(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "v1")
    found = Bundle.load(tmp_path / "v1")
    assert found.version == "v1"
    assert found.items.outside == bundle.items.outside
    assert found.until == bundle.until
    assert (found.learned, found.metrics, found.settings) == (bundle.learned, bundle.metrics, bundle.settings)
    shop = simulated_catalogue(N, customers=20, events_each=8, width=16, seed=1).sequences
    now = np.full(20, bundle.until, np.int64)
    for name in ("popularity", "repurchase", "cooccurrence", "ease"):
        before, after = getattr(bundle, name), getattr(found, name)
        np.testing.assert_allclose(after.scores(shop, now=now), before.scores(shop, now=now), rtol=1e-6)
    assert bundle.network is not None
    assert found.network is not None
    np.testing.assert_allclose(found.network.encode(shop, now), bundle.network.encode(shop, now), atol=1e-6)
    assert bundle.item_vectors is not None
    np.testing.assert_allclose(found.item_vectors, bundle.item_vectors, atol=1e-6)
    np.testing.assert_allclose(found.content_vectors, bundle.content_vectors, atol=1e-3)
    for name in ("vector_index", "content_index"):
        old, new = getattr(bundle, name), getattr(found, name)
        query = np.ones((1, old.dimension), np.float32)
        assert old.search(query, 5)[0].tolist() == new.search(query, 5)[0].tolist()
    features = np.ones((3, 2), np.float32)
    assert found.ranker is not None
    assert found.ranker.score(features).tolist() == [1, 1, 1]
    assert found.ranker.score(features, "new").tolist() == [-1, -1, -1]
    for name in ("category", "brand", "price", "created"):
        np.testing.assert_array_equal(getattr(found.facts, name), getattr(bundle.facts, name))
    assert found.facts.category_names == bundle.facts.category_names


def test_parts_may_be_absent(bundle: Bundle, tmp_path: Path) -> None:
    bare = replace(
        bundle.with_artefacts(
            network=None, ranker=None, ease=None, vector_index=None, content=None, content_index=None, alike=None
        ),
        item_vectors=None,
        content_vectors=None,
    )
    bare.save(tmp_path / "bare")
    found = Bundle.load(tmp_path / "bare")
    assert found.network is found.ranker is found.ease is found.content is found.vector_index is None
    vectors_only = bundle.with_artefacts(network=None)
    vectors_only.save(tmp_path / "vectors")
    assert Bundle.load(tmp_path / "vectors").item_vectors is not None


def test_the_manifest_is_readable_and_holds_no_pickle(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "v1")
    names = sorted(path.name for path in (tmp_path / "v1").iterdir())
    parts = [f"{name}.safetensors" for name in (*bundle.artefacts, "products")]
    assert names == sorted(["items.json", "manifest.json", *parts])
    manifest = json.loads((tmp_path / "v1" / "manifest.json").read_text())
    assert set(manifest["files"]) == set(names) - {"manifest.json"}
    assert manifest["artefacts"] == list(bundle.artefacts)
    assert not list(tmp_path.glob(".*")), "nothing is left of the writing"
    with pytest.raises(BundleError, match="never overwritten"):
        bundle.save(tmp_path / "v1")


@pytest.mark.parametrize(
    "name", ["products.safetensors", "items.json", "vector_index.safetensors", "ranker.safetensors"]
)
def test_a_damaged_file_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    bundle.save(tmp_path / "v1")
    damage(tmp_path / "v1" / name)
    with pytest.raises(BundleError, match=f"{name} is damaged.*rollback"):
        Bundle.load(tmp_path / "v1")
    (tmp_path / "v1" / name).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.load(tmp_path / "v1")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "somebody-else"}, "not written by Shelfwise"),
        ({"format_version": 99}, "has format 99, this Shelfwise reads 5; upgrade"),
        ({"files": {}}, "incomplete or foreign"),
        ({"files": {"../../etc/passwd": {"sha256": ""}}}, "outside the bundle"),
        ({"files": 3}, "lacks its files"),
        ({"until": "x"}, "incomplete or foreign"),
    ],
)
def test_a_foreign_manifest_is_refused(bundle: Bundle, tmp_path: Path, change: dict[str, object], told: str) -> None:
    bundle.save(tmp_path / "v1")
    path = tmp_path / "v1" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=told):
        Bundle.load(tmp_path / "v1")
    path.write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        read_manifest(tmp_path / "v1")
    with pytest.raises(BundleError, match="is no bundle"):
        Bundle.load(tmp_path / "nowhere")


def test_versions_are_used_listed_and_rolled_back(bundle: Bundle, tmp_path: Path) -> None:
    bundles = Bundles(tmp_path / "bundles")
    assert bundles.current() is None
    assert bundles.list() == []
    with pytest.raises(BundleError, match="shelfwise train"):
        bundles.load()
    with pytest.raises(BundleError, match="no earlier"):
        bundles.rollback()
    versions = []
    for _ in range(3):
        versions.append(bundles.add(bundle))
        assert bundles.current() == versions[-1]
    assert {info["version"] for info in bundles.list()} == set(versions)
    assert [info["version"] for info in bundles.list() if info["current"]] == [versions[2]]
    assert bundles.list()[0]["metrics"] == {"ndcg@12": 0.25}
    assert bundles.rollback() == versions[1]
    assert Bundles(tmp_path / "bundles").load().version == versions[1]
    bundles.use(versions[2])
    assert bundles.rollback() == versions[1]
    assert bundles.rollback() == versions[0]
    with pytest.raises(BundleError, match="no earlier"):
        bundles.rollback()
    for foreign in ("nothing", "../bundles", ".."):
        with pytest.raises(BundleError, match="no bundle is called"):
            bundles.use(foreign)


def test_a_corrupt_version_is_not_taken_into_use(bundle: Bundle, tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    good = bundles.add(bundle)
    bad = bundles.add(bundle, use=False)
    assert bundles.current() == good
    damage(tmp_path / bad / "products.safetensors")
    with pytest.raises(BundleError, match="damaged"):
        bundles.use(bad)
    assert bundles.current() == good
    (tmp_path / "current").write_text("[]")
    with pytest.raises(BundleError, match="choose with"):
        bundles.current()


def test_an_unfinished_write_leaves_nothing(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        bundle.save(tmp_path / "v1")
    assert list(tmp_path.iterdir()) == []


def test_index_exact_and_in_cells_agree_with_arithmetic() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((6_000, 24)).astype(np.float32)
    queries = random.standard_normal((20, 24)).astype(np.float32)
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    exact = VectorIndex.build(vectors)
    cells = VectorIndex.build(vectors, exact=1_000)
    for index, least in ((exact, 0.98), (cells, 0.6)):
        found, scores = index.search(queries, 10)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)])
        assert recall >= least
        assert (np.diff(scores, axis=1) <= 0).all()
        allowed = np.zeros(6_000, np.bool_)
        allowed[truth[0, 3]] = True
        only = index.search(queries[:1], 5, allowed=allowed)[0][0]
        assert set(only) <= {truth[0, 3], -1}
        longer = VectorIndex.from_tensors(index.tensors()).extended(vectors[:5] * 100)
        assert (longer.n, index.n) == (6_005, 6_000)
        assert longer.search(vectors[:1], 1)[0][0, 0] == 6_000
    with pytest.raises(BundleError, match="train again"):
        VectorIndex.from_tensors({**index.tensors(), "index": np.frombuffer(b"not an index", np.uint8)})


def test_cells_are_cut_where_the_questions_look() -> None:
    """As a network's vectors are: all customers ask for popularity alike, by one dimension in which products hardly
    differ, and a few products are long."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((8_000, 24)).astype(np.float32)
    vectors *= (0.05 * random.lognormal(0, 1, (8_000, 1))).astype(np.float32)
    queries = random.standard_normal((200, 24)).astype(np.float32)
    queries[:, 0] = 50
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :20]

    def recall(index: VectorIndex) -> float:
        found, scores = index.search(queries, 20, cells=8)
        np.testing.assert_allclose(scores, np.take_along_axis(queries @ vectors.T, found, axis=1), atol=1.5)
        return float(np.mean([len(set(a) & set(b)) / 20 for a, b in zip(found, truth, strict=True)]))

    scale = np.sqrt(np.square(queries[:100]).mean(axis=0))
    cut = VectorIndex.build(vectors, scale=scale, exact=1_000)
    assert recall(cut) >= 0.95 > 0.8 > recall(VectorIndex.build(vectors, exact=1_000))
    assert recall(VectorIndex.from_tensors(cut.tensors())) == recall(cut)
    assert recall(cut.rebuilt(vectors)) >= 0.95


def test_content_space_keeps_what_is_alike_together() -> None:
    random = np.random.default_rng(0)
    centres = random.standard_normal((10, 64))
    text = (centres[np.arange(400) % 10] + 0.1 * random.standard_normal((400, 64)) + 3).astype(np.float32)
    image = np.zeros((400, 32), np.float32)
    image[:200] = random.standard_normal((200, 32))
    text[399] = 0
    space = ContentSpace.fit(text, image)
    assert space is not None
    vectors = space.vectors(400, text, image)
    assert vectors.shape == (400, space.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors[:399], axis=1), 1, atol=1e-5)
    assert not vectors[399].any(), "nothing is known of it"
    likeness = vectors[300:399] @ vectors[300]
    same = np.arange(300, 399) % 10 == 0
    assert likeness[same].min() > 0.9 > likeness[~same].max()
    again = ContentSpace.from_tensors(space.tensors())
    np.testing.assert_array_equal(again.vectors(400, text, image), vectors)
    assert ContentSpace.fit(None, np.zeros((3, 8), np.float32)) is None


def test_old_versions_are_pruned_but_never_the_one_in_use_or_the_one_before_it(bundle: Bundle, tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    versions = sorted(bundles.add(bundle, use=False) for _ in range(5))
    bundles.use(versions[0])
    bundles.use(versions[1])
    assert bundles.prune(2) == [versions[2]]
    assert sorted(info["version"] for info in bundles.list()) == [*versions[:2], *versions[3:]]
    assert bundles.rollback() == versions[0]
    bundles.prune(0)
    assert [info["version"] for info in bundles.list()] == [versions[0]]
    assert not list(tmp_path.glob(".2*"))


def test_an_extension_brings_an_artefact_of_its_own(bundle: Bundle, tmp_path: Path) -> None:
    class Notes:
        def tensors(self) -> dict[str, np.ndarray]:
            return {"seven": np.array([7])}

    ARTEFACTS["notes"] = lambda tensors: int(tensors["seven"][0])
    try:
        bundle.with_artefacts(notes=Notes()).save(tmp_path / "v1")
        assert Bundle.load(tmp_path / "v1").artefacts["notes"] == 7
    finally:
        del ARTEFACTS["notes"]
    assert "notes" not in Bundle.load(tmp_path / "v1"), "a shop without the extension still answers"
