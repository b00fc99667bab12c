"""Batch lists: what to show every customer, in one file, as `recommend` would answer each."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from typer.testing import CliRunner

from shelfwise import lists
from shelfwise.cli.app import app
from shelfwise.errors import BundleError, InvalidRequest, MissingDependency, ShopError, UnreadableFile
from shelfwise.schema import Event, EventType
from shelfwise.shop import Shop
from tests.shops import END, write_feeds

RAY = importlib.util.find_spec("ray") is not None
NOW = END + timedelta(hours=1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("lists") / "shop"
    products, events = write_feeds(folder.parent, customers=60)
    with Shop.create(folder, width=16, epochs=1, threads=1, durable=False, diversity=0.2, report_questions=0) as shop:
        shop.load_products(products)
        shop.load_events(events)
        shop.train()
        # One who searched, one who signed in, one with nothing a list could go by.
        search = Event(type=EventType.SEARCH, customer="c7", query="garden thing", time=END)
        view = Event(type=EventType.VIEW_ITEM, customer="fresh", session="s", product="bath-2", time=END)
        shop.append_events([search, view, Event(type=EventType.SEARCH, customer="silent", query="?", time=END)])
        yield shop


def read(path: Path) -> dict[str, list[tuple[str, float]]]:
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return {row["customer"]: [(item["product"], item["score"]) for item in row["items"]] for row in rows}
    frame = pl.read_parquet(path)
    assert frame.columns == ["customer", "rank", "product", "score"]
    found: dict[str, list[tuple[str, float]]] = {}
    for customer, rank, product, score in frame.iter_rows():
        found.setdefault(customer, []).append((product, score))
        assert rank == len(found[customer])
    return found


@pytest.mark.parametrize(
    ("suffix", "processes", "new"),
    [
        ("jsonl", 1, False),
        pytest.param("parquet", 2, False, marks=pytest.mark.slow),
        pytest.param("parquet", 1, True, marks=pytest.mark.slow),
    ],
)
def test_a_list_is_what_recommend_answers(
    shop: Shop, tmp_path: Path, suffix: str, processes: int, new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "_CHUNK", 25)  # so that both workers have some
    monkeypatch.setattr(lists, "_PART", 30)  # and a Parquet file several parts
    told: list[tuple[int, int, str]] = []
    made = shop.lists(
        tmp_path / f"lists.{suffix}",
        k=7,
        exclude_purchased=new,
        now=NOW,
        processes=processes,
        progress=lambda *seen: told.append(seen),
    )
    found = read(tmp_path / f"lists.{suffix}")
    assert made == len(found) == 62
    assert list(found) == list(shop.store.customers()) == sorted(found)
    assert [done for done, _, _ in told] == [25, 50, 62]
    assert {total for _, total, _ in told} == {62}
    for customer, products in found.items():
        answer = shop.recommend(customer=customer, k=7, exclude_purchased=new, now=NOW)
        assert [product for product, _ in products] == [item.product for item in answer.items], customer
        assert [score for _, score in products] == pytest.approx([item.score for item in answer.items], abs=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == [f"lists.{suffix}"]


def test_only_the_customers_of_a_file(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "who.txt").write_text("\ufeffc3\r\n\n c1 \nnobody", "utf-8")
    out = tmp_path / "some.jsonl"
    assert shop.lists(out, customers=tmp_path / "who.txt", processes=1, now=NOW) == 3
    found = read(out)
    assert list(found) == ["c3", "c1", "nobody"]  # who is not known gets what is popular, as from recommend
    assert [product for product, _ in found["nobody"]] == [
        item.product for item in shop.recommend(customer="nobody", now=NOW).items
    ]
    (tmp_path / "none.txt").write_text("\n")
    assert shop.lists(tmp_path / "none.parquet", customers=tmp_path / "none.txt", processes=1) == 0
    assert pl.read_parquet(tmp_path / "none.parquet").schema == lists._SCHEMA


def test_what_cannot_be_done_says_how_to_mend_it(shop: Shop, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text("as it was")
    (tmp_path / "bad.txt").write_bytes(b"c1\n" + b"x" * 1_000 + b"\n")
    (tmp_path / "latin.txt").write_bytes(b"c1\nc\xe9\n")
    wrong: list[tuple[type[Exception], str, Path, dict[str, Any]]] = [
        (InvalidRequest, r"\.jsonl nor \.parquet", tmp_path / "lists.csv", {}),
        (InvalidRequest, "no folder", tmp_path / "absent" / "lists.jsonl", {}),
        (InvalidRequest, "k", kept, {"k": 0}),
        (UnreadableFile, "line 2.*long", kept, {"customers": tmp_path / "bad.txt"}),
        (UnreadableFile, "UTF-8", kept, {"customers": tmp_path / "latin.txt"}),
        (UnreadableFile, "cannot be read", kept, {"customers": tmp_path / "absent.txt"}),
    ]
    for error, words, out, more in wrong:
        with pytest.raises(error, match=words):
            shop.lists(out, **more)
    assert kept.read_text() == "as it was"
    assert {path.name for path in tmp_path.iterdir()} == {"kept.jsonl", "bad.txt", "latin.txt"}
    with Shop.create(tmp_path / "untaught") as other, pytest.raises(BundleError, match="train"):
        other.lists(kept)


def test_a_worker_that_dies_leaves_the_old_file(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "lists.jsonl"
    out.write_text("as it was")
    monkeypatch.setattr(lists, "_CHUNK", 5)

    def kill(_done: int, _total: int, _status: str) -> None:
        for worker in multiprocessing.active_children():
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(ShopError, match="worker"):
        shop.lists(out, processes=1, progress=kill)
    assert out.read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["lists.jsonl"]


def test_on_the_command_line(shop: Shop, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shelfwise.cli", "lists", str(tmp_path / "all.parquet"), "--k", "3", "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    ended = subprocess.run(
        [*command, "--shop", str(shop.folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"lists": 62, "file": str(tmp_path / "all.parquet")}
    assert pl.read_parquet(tmp_path / "all.parquet").height == 3 * 62
    said = CliRunner().invoke(app, ["lists", "--help"])
    assert "ray" in said.output


def test_without_ray_the_extra_is_named(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(MissingDependency, match=r"shelfwise\[ray\]"):
        shop.lists(tmp_path / "lists.jsonl", on="ray")


@pytest.mark.slow
@pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install 'shelfwise[ray]'")
@pytest.mark.filterwarnings("default")  # Ray's own
def test_ray_answers_as_processes_do(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_CHUNK", 25)
    places: tuple[Literal["processes", "ray"], ...] = ("processes", "ray")
    for on in places:
        assert shop.lists(tmp_path / f"{on}.jsonl", now=NOW, on=on, processes=2) == 62
    assert (tmp_path / "ray.jsonl").read_text() == (tmp_path / "processes.jsonl").read_text()
