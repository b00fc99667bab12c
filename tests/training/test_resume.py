"""A training that is killed, and the one after it: what was over is taken, what was not goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from shelfwise.models.bundle import Bundle
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Sequences, sequences_of
from shelfwise.schema import Event, EventType, Product
from shelfwise.settings import Settings
from shelfwise.shop import Shop
from shelfwise.training.checkpoint import fingerprint
from shelfwise.training.network import NetworkRecommender, Plan

EPOCHS = 10
SETTINGS = {
    "network": "gru",  # learns this small shop within the epochs
    "width": 16,
    "epochs": EPOCHS,
    "learning_rate": 0.05,
    "dropout": 0.1,
    "threads": 1,
    "text_encoder": "none",
    "image_encoder": "none",
    "durable": False,
}
#: Ends itself as soon as an epoch of the network's second fit is done, and its checkpoint not yet written.
CHILD = """
import os, signal, sys
from shelfwise.shop import Shop

fits = 0
def progress(done, total, status):
    global fits
    fits += status.startswith("factorising")
    if fits == 2 and status.startswith("epoch 2/") and "done" in status:
        os.kill(os.getpid(), signal.SIGKILL)

with Shop(sys.argv[1]) as shop:
    shop.train(progress)
"""


def environment(**more: str) -> dict[str, str]:
    # pytest's own variables stay out: the child is a plain Python.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return plain | {"PYTHONPATH": str(Path(__file__).parents[2])} | more


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with 12 products and 100 days of 80 customers. After a look comes an even product, after a purchase an odd
    one: counting pairs cannot know it, so that every fit has epochs worth keeping."""
    folder = tmp_path_factory.mktemp("ready") / "shop"
    random = np.random.default_rng(0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    kinds = random.choice(2, (80, 20))
    items = 2 * random.integers(6, size=(80, 20))
    items[:, 1:] += kinds[:, :-1]
    days = np.sort(random.uniform(0, 100, (80, 20)))
    with Shop.create(folder, **SETTINGS) as shop:
        shop.put_products([Product(id=f"p{i}", title=f"Thing {i}", price=1.0 + i) for i in range(12)])
        shop.append_events(
            [
                Event(
                    id=f"{customer}-{step}",
                    type=EventType.PURCHASE if kinds[customer, step] else EventType.VIEW_ITEM,
                    customer=f"c{customer}",
                    product=f"p{items[customer, step]}",
                    time=start + timedelta(days=float(days[customer, step])),
                )
                for customer in range(80)
                for step in range(20)
            ]
        )
    return folder


@pytest.fixture(scope="module")
def killed(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "shop"
    shutil.copytree(ready, folder)
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], env=environment(), capture_output=True, timeout=300, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    kept = {path.parent.name: json.loads(path.read_text()) for path in (folder / "work").glob("*/checkpoint.json")}
    assert set(kept) == {"network-1", "network-2"}
    assert kept["network-2"]["epoch"] == 1
    assert not list((folder / "bundles").glob("*/manifest.json"))
    return folder


def trained(folder: Path, **more: str) -> tuple[list[str], Bundle]:
    """What `shelfwise train` says of the network's epochs, and what it learned."""
    ended = subprocess.run(
        [sys.executable, "-m", "shelfwise.cli", "train", "--shop", str(folder)],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (folder / "work").exists()
    with Shop(folder) as shop:
        bundle = shop.bundle()
    said = re.findall(r"^Training: (factorising|epoch \d+/\d+)(.*)$", ended.stderr, re.MULTILINE)
    return [what + (" done" if " done" in rest else "") for what, rest in said], bundle


def begun(said: list[str]) -> list[int]:
    """The epochs that steps were taken in, in order."""
    epochs = [
        int(line.split()[1].split("/")[0]) for line in said if re.match("epoch [1-9]", line) and "done" not in line
    ]
    return [epoch for place, epoch in enumerate(epochs) if not place or epochs[place - 1] != epoch]


@pytest.mark.slow
def test_after_a_kill_no_finished_epoch_is_repeated(ready: Path, killed: Path, tmp_path: Path) -> None:
    whole, other = tmp_path / "whole", tmp_path / "other"
    shutil.copytree(ready, whole)
    shutil.copytree(killed, other)
    everything, wanted = trained(whole)
    last = wanted.metrics["network"][-1]["epoch"]
    assert begun(everything)[:last] == list(range(1, last + 1))
    assert everything.count("factorising") == 3
    rest, got = trained(other)
    assert rest.count("factorising") == 1  # the third fit, on all there is
    assert begun(rest)[0] == 2  # of the second fit; its first epoch, and the first fit, are there
    assert begun(rest) == begun(everything)[last + 1 :]
    for one, two in zip(wanted.metrics["network"], got.metrics["network"], strict=True):
        assert one["epoch"] == two["epoch"]
        np.testing.assert_equal(one["loss"], two["loss"])
        assert one["ndcg"] == two["ndcg"]
    assert got.metrics["ranker"] == wanted.metrics["ranker"]
    assert wanted.network is not None
    assert got.network is not None
    theirs = wanted.network.tensors()
    for name, value in got.network.tensors().items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.slow
def test_other_settings_begin_anew(killed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(killed, folder)
    said, _ = trained(folder, SHELFWISE_DROPOUT="0.2")
    assert said.count("factorising") == 3
    assert begun(said)[0] == 1


@pytest.mark.slow
def test_another_record_begins_anew(killed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(killed, folder)
    with Shop(folder) as shop:
        shop.put_products([Product(id="p3", title="Thing 3", price=99.0)])  # no event is another
    said, _ = trained(folder)
    assert said.count("factorising") == 3
    assert begun(said)[0] == 1


# What a checkpoint must agree with


def circle(by: int = 1) -> Sequences:
    return sequences_of([[(c + by * step) % 12 for step in range(5)] for c in range(60)])


ITEMS = Items(
    n=12,
    text=np.eye(12, 16, dtype=np.float32),
    category=np.zeros(12, np.int32),
    category_names=("Tea",),
    price=np.ones(12, np.float32),
)


def test_a_fit_that_is_kept_is_its_own_answer(tmp_path: Path) -> None:
    settings = Settings(width=16, epochs=EPOCHS, threads=1)
    told: list[str] = []

    def fit(items: Items, validation: Sequences, folder: Path = tmp_path) -> NetworkRecommender:
        told.clear()
        model = NetworkRecommender(settings, None, folder, keep=True)
        return model.fit(circle(), items, validation=validation, progress=lambda *seen: told.append(seen[2]))

    first = fit(ITEMS, circle(2))
    assert told
    again = fit(ITEMS, circle(2))
    assert not told
    assert first.curve[1:] == again.curve[1:]
    assert first.plan == again.plan
    np.testing.assert_array_equal(first.scores(circle()), again.scores(circle()))
    assert again.earlier == pytest.approx(sum(line.seconds for line in first.curve), abs=5)
    for items, validation in (
        (replace(ITEMS, price=np.full(12, 2, np.float32)), circle(2)),
        (ITEMS, circle(3)),
    ):
        fit(items, validation)
        assert any(status.startswith("epoch 1/") for status in told)


def test_a_fit_whose_start_is_best_is_kept_too(tmp_path: Path) -> None:
    settings = Settings(width=16, epochs=EPOCHS, threads=1)
    plan = Plan(epochs=0, weight=2.0, keep=0.4)
    scores = []
    told: list[str] = []
    for _ in range(2):
        model = NetworkRecommender(settings, None, tmp_path, keep=True, plan=plan)
        told.clear()
        model.fit(circle(), ITEMS, progress=lambda *seen: told.append(seen[2]))
        scores.append(model.scores(circle()))
    assert not told  # the start is not factorised again
    np.testing.assert_array_equal(*scores)


def test_a_fingerprint_tells_everything_apart() -> None:
    sequences = circle()
    marks = [
        fingerprint(train, items, validation, *told)
        for train, items, validation, told in (
            (sequences, ITEMS, sequences, ("a", "b")),
            (sequences, ITEMS, None, ("a", "b")),
            (sequences, ITEMS, sequences, ("ab", "")),
            (sequences, ITEMS, circle(2), ("a", "b")),
            (replace(sequences, price=np.ones(300, np.float32)), ITEMS, sequences, ("a", "b")),
            (sequences, replace(ITEMS, text=None), sequences, ("a", "b")),
            (sequences, replace(ITEMS, text=None, image=ITEMS.text), sequences, ("a", "b")),
            (sequences, replace(ITEMS, brand=np.zeros(12, np.int32)), sequences, ("a", "b")),
        )
    ]
    assert len(set(marks)) == len(marks)
    pixels = replace(ITEMS, pixels=np.zeros((12, 32, 32, 3), np.uint8))
    assert fingerprint(sequences, pixels, sequences, "a", "b") == marks[0]
