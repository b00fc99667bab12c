"""Backups: nothing acknowledged is missing, nothing damaged is put back, nothing half done stays."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from shelfwise.backup import MANIFEST, backup, restore
from shelfwise.errors import BackupError
from shelfwise.schema import Event, Product
from shelfwise.shop import Shop
from shelfwise.trust.keys import Scope


def event(number: int) -> Event:
    return Event(id=f"e{number}", type="purchase", customer=f"c{number % 7}", product="p1")


def test_what_was_acknowledged_is_in_a_backup_made_while_others_write(tmp_path: Path) -> None:
    folder, copy, back = tmp_path / "shop", tmp_path / "backups" / "today", tmp_path / "back"
    acknowledged: list[str] = []
    stop = threading.Event()
    with Shop.create(folder, text_encoder="none", image_encoder="none", name="Mugs") as shop:
        shop.put_products([Product(id="p1", title="Mug")])
        secret = shop.keys.create("till", [Scope.READ])

        def write() -> None:
            with Shop(folder) as other:
                number = 0
                while not stop.is_set():
                    other.append_events([event(number)])
                    acknowledged.append(f"e{number}")
                    number += 1

        writer = threading.Thread(target=write)
        writer.start()
        while len(acknowledged) < 50:
            stop.wait(0.01)
        before = list(acknowledged)
        manifest = backup(folder, copy)
        stop.set()
        writer.join()
        shop.put_products([Product(id="p2", title="Later")])
    assert {"record.db", "shelfwise.toml", "keys.json"} <= set(manifest["files"])
    assert sorted(path.name for path in copy.parent.iterdir()) == ["today"]
    restore(copy, back)
    with Shop(back) as shop:
        kept = {one.id for n in range(7) for one in shop.last_events(customer=f"c{n}", n=100_000)}
        assert set(before) <= kept <= set(acknowledged)
        assert shop.counts().products == 1
        assert shop.settings.name == "Mugs"
        assert shop.keys.check(secret, Scope.READ).name == "till"
        shop.append_events([event(10**6)])  # it goes on from there


def test_bundles_go_with_it_and_what_can_be_made_again_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    Shop.create(folder, text_encoder="none", image_encoder="none").close()
    for name in (
        "bundles/v1/manifest.json",
        "bundles/current",
        "photos/a.jpg",
        "cache/x",
        "work/y",
        "bundles/.v2.ab/z",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    files = set(backup(folder, tmp_path / "copy")["files"])
    assert files == {"record.db", "shelfwise.toml", "bundles/v1/manifest.json", "bundles/current", "photos/a.jpg"}


@pytest.mark.parametrize("harm", ["changed", "missing", "no manifest", "foreign", "outside"])
def test_a_damaged_backup_is_refused_and_changes_nothing(tmp_path: Path, harm: str) -> None:
    folder, copy = tmp_path / "shop", tmp_path / "copy"
    Shop.create(folder, text_encoder="none", image_encoder="none").close()
    manifest = backup(folder, copy)
    if harm == "changed":
        data = bytearray((copy / "record.db").read_bytes())
        data[len(data) // 2] ^= 1
        (copy / "record.db").write_bytes(bytes(data))
    elif harm == "missing":
        (copy / "shelfwise.toml").unlink()
    elif harm == "no manifest":
        (copy / MANIFEST).unlink()
    elif harm == "foreign":
        (copy / MANIFEST).write_text("{}")
    else:
        manifest["files"]["../outside"] = "0"
        (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BackupError):
        restore(copy, tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "shop"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder, copy = tmp_path / "shop", tmp_path / "copy"
    Shop.create(folder, text_encoder="none", image_encoder="none").close()
    with pytest.raises(BackupError, match="inside the shop"):
        backup(folder, folder / "backup")
    backup(folder, copy)
    with pytest.raises(BackupError, match="not empty"):
        backup(folder, copy)
    with pytest.raises(BackupError, match="not empty"):
        restore(copy, folder)
