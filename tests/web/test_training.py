"""Training on the console over HTTP: start, watch, cancel, compare, use and roll back, with real processes."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.serve.jobs import Jobs
from shelfwise.serve.web.console.guard import COOKIE
from shelfwise.serve.web.console.training import _step, chosen, fits_of, seconds_left
from shelfwise.shop import Shop
from shelfwise.training.dataset import read_dataset
from shelfwise.training.network import NetworkRecommender
from shelfwise.trust.accounts import Accounts, csrf_of

PASSWORD = "a long enough passphrase"


@pytest.fixture(scope="module")
def folder(drawn_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(drawn_shop, tmp_path_factory.mktemp("training") / "shop"))
    with Shop(folder) as shop:
        Accounts(shop.store.accounts).create("ann", PASSWORD)
    return folder


@pytest.fixture(scope="module")
def signed(folder: Path) -> Iterator[tuple[TestClient, str]]:
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        secret = Accounts(shop.store.accounts).sign_in("ann", PASSWORD, "here")
        client.cookies.set(COOKIE, secret)
        yield client, csrf_of(secret)


def test_the_networks_progress_reads_as_curves(drawn_shop: Path) -> None:
    told: list[dict[str, object]] = []
    with Shop(drawn_shop) as shop:
        settings = shop.settings.model_copy(update={"epochs": 3, "minutes": 0.0})
        dataset = read_dataset(shop.store, drawn_shop, settings, None)
    cut = int(dataset.sequences.time.max()) - 14 * 86_400
    train, validation = dataset.split(cut, 14)

    def progress(done: int, total: int, what: str) -> None:
        told.append({"done": done, "total": total, "what": what, "time": f"2026-01-01T00:00:{len(told) % 60:02}+00:00"})

    model = NetworkRecommender(settings)
    model.fit(train, dataset.features, validation=validation, progress=progress)
    (fit,) = fits_of(told)
    assert fit.ndcg == {float(one.epoch): pytest.approx(one.ndcg, abs=1e-4) for one in model.curve}
    for one in model.curve[1:]:
        assert fit.loss[float(one.epoch)] == pytest.approx(one.loss, abs=1e-3)
    assert fit.speed > 0
    assert len(fits_of([*told, *told])) == 2, "an epoch that goes back begins another fit"


def test_the_time_left_follows_the_pace_of_the_step() -> None:
    def line(second: int, done: int, what: str = "epoch 1/2, loss 5.0") -> dict[str, object]:
        return {"time": f"2026-01-01T00:00:{second:02}+00:00", "done": done, "total": 100, "what": what}

    assert seconds_left([]) is None
    assert seconds_left([line(0, 10)]) is None
    assert seconds_left([line(0, 90, "reading"), line(10, 10), line(20, 60)]) == pytest.approx(8)


def test_a_step_is_told_in_both_languages() -> None:
    told = {
        "epoch 2/30, loss 4.310, 8,000 items/s": ("Learning the network, epoch 2 of 30", "学习网络，第 2/30 轮"),
        "fitting the ranker (new)": ("Learning to rank: what is new to a customer", "学习排序：对顾客而言的新商品"),
        "fitting the ranker (home)": ("Learning to rank: what a customer wants next", "学习排序：顾客接下来想要的商品"),
        "ease: 88 products": ("Fitting EASE", "拟合EASE"),
        "measuring engine": ("Measuring Engine", "评测引擎"),
        "events read": ("Reading the record", "读取记录"),
        "": ("Reading the record", "读取记录"),
    }
    for what, said in told.items():
        assert (_step(what, "en"), _step(what, "zh")) == said


def test_only_what_differs_from_the_settings_is_asked_of_a_training(drawn_shop: Path) -> None:
    with Shop(drawn_shop) as shop:
        assert (
            chosen(shop.settings, {"network": "transformer", "epochs": "1", "minutes": "", "validation_days": "14"})
            == {}
        )
        assert chosen(shop.settings, {"epochs": "2", "name": "x"}) == {"epochs": "2"}
        for name, value in (("epochs", "0"), ("minutes", "many"), ("network", "perceptron"), ("validation_days", "-1")):
            with pytest.raises(ValueError, match=f"^{name}$"):
                chosen(shop.settings, {name: value})


@pytest.mark.slow
def test_train_watch_compare_use_and_roll_back(signed: tuple[TestClient, str], folder: Path) -> None:
    client, csrf = signed
    first = str(client.get("/v1/health").json()["bundle"])
    page = client.get("/console/training").text
    assert first in page
    assert "Roll back" not in page, "there is nothing to go back to yet"
    wrong = client.post("/console/training", data={"csrf": csrf, "epochs": "0"})
    assert wrong.status_code == 422
    assert 'id="epochs" name="epochs" inputmode="numeric" value="0"' in wrong.text

    begun = client.post("/console/training", data={"csrf": csrf, "epochs": "2"}, follow_redirects=False)
    assert begun.status_code == 303
    address = begun.headers["location"]
    again = client.post("/console/training", data={"csrf": csrf}, follow_redirects=False)
    assert again.headers["location"] == address, "one training at a time"
    assert "Stop this training" in client.get(address).text
    assert 'hx-trigger="every 2s"' in client.get(address + "/progress").text
    for _ in range(600):
        if client.get(address + "/progress").headers.get("hx-refresh"):
            break
        time.sleep(0.1)
    done = client.get(address).text
    second = re.findall(r"bundle ([\d]{8}-\d{6}-[0-9a-f]{4})", done)[0]
    assert "<svg" in done
    manifest = json.loads((folder / "bundles" / second / "manifest.json").read_text("utf-8"))
    assert manifest["settings"]["epochs"] == 2, "the choice held for this training"
    with Shop(folder) as shop:
        assert shop.settings.epochs == 1
        assert shop.bundle().version == second

    compared = client.get("/console/training/compare", params={"version": [first, second]}).text
    assert compared.count("<svg class=") >= 2
    assert "Metric by metric" in compared
    assert "NDCG@10" in compared
    assert "Popularity" in compared, "baselines stand beside"
    assert client.get("/console/training/compare", params={"version": ["../../x", first]}).status_code == 404

    used = client.post("/console/training/use", data={"csrf": csrf, "version": first})
    assert used.status_code == 200
    assert f"Undo: back to {second}" in used.text
    with Shop(folder) as shop:
        assert shop.bundle().version == first
    back = client.post("/console/training/rollback", data={"csrf": csrf})
    assert f"Undo: back to {first}" in back.text
    with Shop(folder) as shop:
        assert shop.bundle().version == second
    missing = client.post("/console/training/use", data={"csrf": csrf, "version": "../.."})
    assert missing.status_code == 409
    assert "no bundle is called" in missing.text


def test_a_training_can_be_cancelled_and_what_served_keeps_serving(
    signed: tuple[TestClient, str], folder: Path
) -> None:
    client, csrf = signed
    with Shop(folder) as shop:
        before = shop.bundle().version
    begun = client.post("/console/training", data={"csrf": csrf, "epochs": "5000"}, follow_redirects=False)
    page = client.post(begun.headers["location"] + "/cancel", data={"csrf": csrf}).text
    assert "Cancelled." in page
    assert Jobs(folder).list()[0].state == "cancelled"
    with Shop(folder) as shop:
        assert shop.bundle().version == before


def test_nobody_trains_without_signing_in_or_from_a_foreign_page(signed: tuple[TestClient, str], folder: Path) -> None:
    client, _ = signed
    count = len(Jobs(folder).list())
    for path in ("/console/training", "/console/training/use", "/console/training/rollback"):
        assert client.post(path, data={"csrf": "wrong"}).status_code == 403
    stranger = TestClient(client.app, base_url="http://localhost")
    for path in ("/console/training", "/console/training/compare", "/console/reports", "/console/reports/download"):
        assert stranger.get(path, follow_redirects=False).headers["location"].startswith("/console/login")
    assert len(Jobs(folder).list()) == count
    assert client.get("/console/training/jobs/unknown").status_code == 404


def test_an_empty_shop_is_told_what_comes_next(tmp_path: Path) -> None:
    with (
        Shop.create(tmp_path / "shop", durable=False) as shop,
        TestClient(create_app(shop), base_url="http://localhost") as client,
    ):
        accounts = Accounts(shop.store.accounts)
        accounts.create("ann", PASSWORD)
        client.cookies.set(COOKIE, accounts.sign_in("ann", PASSWORD, "here"))
        assert "Nothing to learn from yet" in client.get("/console/training").text
        assert "Nothing was learned yet" in client.get("/console/reports").text
        assert "至少选择两个" in client.get("/console/training/compare?lang=zh").text
