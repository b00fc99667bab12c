"""Photos matter: shown on SIMULATED shoppers over real photos, and by a linear probe. See benchmarks/photos.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from shelfwise.metrics import differences
from shelfwise.models.encoders import VectorCache, image_encoder
from shelfwise.settings import Settings
from shelfwise.testing import simulated_shop

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "photos.py"
    spec = importlib.util.spec_from_file_location("benchmarks_photos", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_photos_help_for_products_never_seen(benchmark: ModuleType, data: Path, tmp_path: Path) -> None:
    with VectorCache(tmp_path) as cache:
        photos, items = benchmark.luma(data, cache)
    more: list[np.ndarray] = []
    less: list[np.ndarray] = []
    for seed in range(2):
        shop = simulated_shop(photos, customers=1_000, seed=seed)
        asked = Settings(epochs=6, width=64, seed=seed)
        for found, known in ((more, items), (less, benchmark.without(items, image=False))):
            found.append(benchmark.cold_metrics(shop, known, asked)["ndcg@10"])
    gain = differences({"ndcg@10": np.concatenate(more)}, {"ndcg@10": np.concatenate(less)})["ndcg@10"]
    assert gain.low > 0, gain


def test_a_linear_probe_tells_clothes_apart(benchmark: ModuleType, data: Path) -> None:
    accuracy, _ = benchmark.probe(data, image_encoder())
    assert accuracy >= 0.82
