"""Rules, synonyms and the audit on the command line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shelfwise
from shelfwise.cli.accounts import first_link
from shelfwise.cli.app import app, main
from shelfwise.errors import InvalidRecord, InvalidRequest, ShelfwiseError, UnknownProduct
from shelfwise.schema import Event, EventType, Product, now
from shelfwise.shop import Shop
from shelfwise.trust.accounts import Accounts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        shop.store.put_products([Product(id="A-1", title="Oolong"), Product(id="A-2", title="Sencha")])
    return tmp_path / "shop"


def run(folder: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--shop", str(folder)])
    if isinstance(result.exception, ShelfwiseError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_rules_are_added_listed_removed_and_undone(folder: Path) -> None:
    dates = ("--start", "2030-01-01", "--end", "2030-02-01")
    assert "spring" in run(folder, "rules", "add", "pin", "A-2", "A-1", "--query", "tea", "--id", "spring", *dates)
    (rule,) = json.loads(run(folder, "rules", "list", "--json"))
    assert (rule["id"], rule["action"], rule["products"], rule["position"]) == ("spring", "pin", ["A-2", "A-1"], 1)
    assert "2030-01-01" in run(folder, "rules", "list")
    run(folder, "rules", "remove", "spring")
    assert json.loads(run(folder, "rules", "list", "--json")) == []
    newest, _ = json.loads(run(folder, "audit", "list", "--json"))
    assert newest["who"]
    run(folder, "audit", "undo", str(newest["number"]))
    assert "spring" in run(folder, "rules", "list")
    assert "rule spring" in run(folder, "audit", "list")


def test_synonyms_are_added_by_line_and_by_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_text("# ours\nphone => mobile, smart phone\n\n红薯，地瓜  # one thing\n", "utf-8")
    run(folder, "synonyms", "add", "sofa, couch", "--file", str(file))
    rows = json.loads(run(folder, "synonyms", "list", "--json"))
    assert len(rows) == 3
    run(folder, "synonyms", "remove", rows[0]["id"])
    assert rows[0]["id"] not in run(folder, "synonyms", "list")


def test_synonyms_are_suggested_from_what_searchers_did(folder: Path) -> None:
    assert "Nothing yet" in run(folder, "synonyms", "suggest")
    begun = now() - timedelta(days=1)
    with Shop(folder) as shop:
        for n in range(6):
            steps = (("search", "couch", ""), ("search", "sofa", ""), ("view_item", "", "A-1"))
            shop.append_events(
                [
                    Event(
                        type=EventType(kind),
                        customer=f"c{n}",
                        query=query,
                        product=product,
                        time=begun + timedelta(minutes=10 * n + step),
                    )
                    for step, (kind, query, product) in enumerate(steps)
                ]
            )
    (row,) = json.loads(run(folder, "synonyms", "suggest", "--json"))
    assert (row["synonym"], row["customers"], row["evidence"]) == ("couch, sofa", 6, "reformulated")
    assert "couch, sofa" in run(folder, "synonyms", "suggest")
    run(folder, "synonyms", "add", row["synonym"])
    assert json.loads(run(folder, "synonyms", "suggest", "--json")) == []


def test_what_cannot_be_is_told(folder: Path) -> None:
    with pytest.raises(UnknownProduct):
        run(folder, "rules", "add", "hide", "B-9", "--query", "tea")
    for words in (("rules", "remove", "x"), ("synonyms", "remove", "x"), ("synonyms", "add", "# nothing")):
        with pytest.raises(InvalidRequest):
            run(folder, *words)


def test_search_prints_what_was_found(folder: Path) -> None:
    text = run(folder, "search", "oolong", "--facet", "price")
    assert "A-1" in text
    assert "Oolong" in text
    answer = json.loads(run(folder, "search", "oolong", "--json", "-k", "1"))
    assert [hit["product"] for hit in answer["items"]] == ["A-1"]
    assert json.loads(run(folder, "search", "--json", "--attribute", "colour=red"))["total"] == 0
    assert "A-2" in run(folder, "search", "sencha", "--explain")
    with pytest.raises(InvalidRequest):
        run(folder, "search", "x", "--attribute", "red")
    with pytest.raises(InvalidRequest):
        run(folder, "search", "x", "--sort", "best")


def test_accounts_are_made_by_a_link_listed_and_removed(folder: Path) -> None:
    assert "accounts link" in run(folder, "accounts", "list")
    link = run(folder, "accounts", "link").strip()
    assert link.startswith("http://127.0.0.1:8000/console/link/")
    with Shop(folder) as shop:
        Accounts(shop.store.accounts).claim(link.rpartition("/")[2], "ann", "a long enough passphrase")
    assert [row["name"] for row in json.loads(run(folder, "accounts", "list", "--json"))] == ["ann"]
    assert "/console/link/" in run(folder, "accounts", "link", "ann")
    with pytest.raises(InvalidRecord, match="no account"):
        run(folder, "accounts", "link", "bob")
    run(folder, "accounts", "remove", "ann")
    assert json.loads(run(folder, "accounts", "list", "--json")) == []


@pytest.mark.parametrize(("asked", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_threads_wait_without_spinning_unless_told_to(asked: dict[str, str], policy: str) -> None:
    """OpenMP itself says what it was told when it was loaded."""
    ours = ("OMP_", "GOMP_", "KMP_")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-c", "import shelfwise.cli.app, torch"]
    ended = subprocess.run(
        command, env=plain | asked | {"OMP_DISPLAY_ENV": "verbose"}, capture_output=True, text=True, check=True
    )
    said = re.findall(r"OMP_WAIT_POLICY\s*=\s*'(\w+)'", ended.stderr)
    assert said
    assert set(said) == {policy}


def test_a_bar_on_a_terminal_tells_the_time_left() -> None:
    child = """
import time
from shelfwise.cli.terminal import progress_bar
with progress_bar("Work") as progress:
    for done in range(1, 9):
        progress(done, 1000, "steps made")
        time.sleep(0.05)
"""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm", "COLUMNS": "150"}
    process = subprocess.Popen([sys.executable, "-c", child], stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while some := os.read(ours, 65_536):
            shown += some
    os.close(ours)
    assert process.wait() == 0
    assert re.search(rb"\d:\d\d:\d\d left", shown)
    assert b"steps made" in shown


def test_the_link_that_was_printed_stays_good_when_serve_starts(folder: Path) -> None:
    printed = run(folder, "accounts", "link").strip().rpartition("/")[2]
    with Shop(folder) as shop:
        assert "/console/link/" in first_link(shop, "http://localhost:8000")
        assert Accounts(shop.store.accounts).link(printed) == ""


def test_help_and_version_load_nothing_heavy() -> None:
    """What only prints help waits for no data library: they are imported by the command that needs them."""
    heavy = "{'polars', 'numpy', 'torch', 'sqlalchemy', 'pydantic', 'numba', 'lightgbm', 'tantivy', 'shelfwise.shop'}"
    check = f"import sys; import shelfwise.cli.app; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
    version = subprocess.run(
        [sys.executable, "-m", "shelfwise.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.strip() == f"shelfwise {shelfwise.__version__}"


def test_options_name_what_the_schema_has() -> None:
    from shelfwise.schema import RuleAction
    from shelfwise.search.request import SORTS

    result = CliRunner().invoke(app, ["search", "--help"])
    assert ", ".join(SORTS) in " ".join(re.sub(r"[^\w, ]", " ", result.output).split())
    for action in RuleAction:
        assert action in CliRunner().invoke(app, ["rules", "add", "--help"]).output


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01", "2024-05-01T00:00:00+00:00"),
        ("2024-05-01T10:00", "2024-05-01T10:00:00+00:00"),
        ("2024-05-01T10:00+08:00", "2024-05-01T02:00:00+00:00"),
        ("2024-05-01T10:00Z", "2024-05-01T10:00:00+00:00"),
        ("2024-05-01 00:30-05:00", "2024-05-01T05:30:00+00:00"),
    ],
)
def test_an_offset_is_not_dropped(folder: Path, text: str, moment: str) -> None:
    run(folder, "rules", "add", "hide", "A-1", "--query", "tea", "--start", text)
    (rule,) = json.loads(run(folder, "rules", "list", "--json"))
    assert datetime.fromisoformat(rule["start"]) == datetime.fromisoformat(moment)
    with pytest.raises(InvalidRequest, match="not a date"):
        run(folder, "rules", "add", "hide", "A-1", "--query", "tea", "--start", "May 1st")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_closed_disk_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(folder / "reports"))

    monkeypatch.setattr(Shop, "check", refused)
    monkeypatch.setattr(sys, "argv", ["shelfwise", "check", "--shop", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert os.strerror(code) in said
    assert "Traceback" not in said
