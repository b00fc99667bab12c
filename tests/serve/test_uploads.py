"""Files taken in as they arrive, tried without changing anything, then loaded."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from shelfwise.errors import UnreadableFile
from shelfwise.serve.imports import check_size, read_report, remember, remembered, run, upload
from shelfwise.serve.uploads import Upload, receive
from shelfwise.serve.wire import Refused
from shelfwise.shop import Shop
from tests.waiting import run_apart

FEED = b"id,title,price\nNew-1,Green tea,3 USD\nTea-1,Tea renamed,nonsense\n,No id at all,3 USD\nTea-2,Tea 2,-5 USD\n"
EVENTS = b"customer,product,time\nann,Tea-1,2024-05-01\nann,Nowhere,2024-05-01\n"


def form(*parts: tuple[str, bytes], name: str = "file", end: bool = True) -> bytes:
    body = b""
    for field, value in parts:
        filename = f'; filename="{field.partition("=")[2]}"' if field.startswith("file=") else ""
        shown = name if filename else field
        body += f'--B\r\nContent-Disposition: form-data; name="{shown}"{filename}\r\n\r\n'.encode() + value + b"\r\n"
    return body + (b"--B--\r\n" if end else b"")


def sent(
    body: bytes,
    folder: Path,
    *,
    limit: int = 10_000,
    step: int = 7,
    kind: str = "multipart/form-data; boundary=B",
    allowed: Callable[[dict[str, str]], None] = lambda _: None,
) -> Upload:
    pieces: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": body[at : at + step], "more_body": at + step < len(body)}
            for at in range(0, max(len(body), 1), step)
        ]
    )

    async def hand() -> dict[str, Any]:
        return next(pieces, {"type": "http.disconnect"})

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return run_apart(receive(Request(scope, hand), folder, limit, allowed))


def test_a_file_is_kept_under_a_name_of_ours(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []
    body = form(("csrf", b"token"), ("file=../../etc/pass\x07wd.csv", FEED))
    got = sent(body, tmp_path / "uploads", allowed=lambda fields: seen.append(dict(fields)))
    assert got.path.parent == tmp_path / "uploads"
    assert got.path.read_bytes() == FEED
    assert (got.name, got.size, seen) == ("passwd.csv", len(FEED), [{"csrf": "token"}])
    assert len(got.path.name) == 32


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(("file=a", b"x" * 20_000)), 413),
        (form(("file=a", b"x"), end=False), 400),
        (form(("csrf", b"t")), 400),
        (form(("file=a", b"")), 400),
        (form(("file=a", b"x"), ("file=b", b"y")), 400),
        (form(("csrf", b"t" * 10_000), ("file=a", b"x")), 413),
        (form(*[(f"n{n}", b"") for n in range(30)]), 400),
        (b"no form at all", 400),
    ],
)
def test_a_bad_form_is_refused_and_nothing_stays(body: bytes, status: int, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        sent(body, tmp_path / "uploads", step=1_000)
    assert refused.value.status == status
    assert not list((tmp_path / "uploads").glob("*"))
    with pytest.raises(Refused):
        sent(body, tmp_path / "uploads", kind="application/json")


def test_who_may_not_send_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    def allowed(fields: dict[str, str]) -> None:
        raise Refused(403, "csrf", f"{fields}")

    with pytest.raises(Refused):
        sent(form(("file=a", b"x")), tmp_path / "uploads", allowed=allowed)
    assert not (tmp_path / "uploads").exists()


def keep(shop: Shop, content: bytes) -> str:
    return sent(form(("file=feed.csv", content)), shop.folder / "uploads", limit=100_000, step=500).path.name


def test_trying_changes_nothing_and_says_what_loading_would(shop: Shop, tmp_path: Path) -> None:
    name = keep(shop, FEED)
    before = shop.store.product_revision()
    report = run(shop, {"file": name, "name": "feed.csv", "check": "yes"}, tmp_path / "job")
    assert (report.source, report.read, report.kept, report.dropped) == ("feed.csv", 4, 2, 2)
    assert report.facts["contents"] == "products"
    assert (report.facts["new"], report.facts["replaced"]) == (1, 1)
    assert read_report(tmp_path / "job") == report
    lines = {issue.kind: [line for line, _ in issue.examples] for issue in report.issues}
    assert (lines["invalid_id"], lines["invalid_price"]) == ([4], [5])
    assert shop.store.product_revision() == before
    assert shop.store.product("New-1") is None
    loaded = run(shop, {"file": name, "name": "feed.csv"}, tmp_path / "job2")
    assert loaded.kept == 2
    assert shop.store.product("New-1") is not None
    assert not upload(shop, name).exists(), "what is loaded is not kept twice"
    with pytest.raises(UnreadableFile, match=r"feed\.csv.*upload it again"):
        run(shop, {"file": name, "name": "feed.csv"}, tmp_path / "job3")


def test_a_look_at_products_and_columns_that_are_remembered(shop: Shop, tmp_path: Path) -> None:
    feed = b"art,bez,alt,preis,sale_price,zustand\nX1,Teapot,Kettle,20,15,live\nX2,Cup,Mug,5,,off\n"
    name = keep(shop, feed)
    with pytest.raises(UnreadableFile, match="neither a product feed"):
        run(shop, {"file": name, "check": "yes"}, tmp_path / "job")
    name = keep(shop, feed.replace(b"art,", b"id,"))
    remember(shop, {"title": "alt", "status": "zustand", "brand": "gone"})
    report = run(shop, {"file": name, "check": "yes"}, tmp_path / "job2")
    first, second = report.facts["preview"]
    assert (first["title"], first["price"], first["original_price"]) == ("Kettle", 15, 20)
    assert (first["status"], second["status"]) == ("active", "hidden")
    assert report.facts["header"] == ["id", "bez", "alt", "preis", "sale_price", "zustand"]
    assert remembered(shop)["title"] == "alt"
    remember(shop, {})
    assert remembered(shop) == {}


def test_events_say_how_many_products_are_unknown(shop: Shop, tmp_path: Path) -> None:
    name = keep(shop, EVENTS)
    events = shop.counts().events
    report = run(shop, {"file": name, "name": "log.csv", "check": "yes"}, tmp_path)
    assert (report.facts["contents"], report.facts["unknown products"], report.kept) == ("events", 1, 2)
    assert shop.counts().events == events
    run(shop, {"file": name, "name": "log.csv"}, tmp_path)
    assert shop.counts().events == events + 2


def test_a_broken_file_is_told_by_its_own_name_with_the_line(shop: Shop, tmp_path: Path) -> None:
    name = keep(shop, b'id,title\nA,Tea\nB,"never closed\n')
    with pytest.raises(UnreadableFile, match=r"^mine\.csv, line 3"):
        run(shop, {"file": name, "name": "mine.csv", "check": "yes"}, tmp_path)
    assert read_report(tmp_path) is None
    for bad in ("../record.db", "record.db", "", "é" * 32, "a" * 31 + "/"):
        with pytest.raises(UnreadableFile, match="no upload"):
            run(shop, {"file": bad}, tmp_path)


def test_a_compressed_file_may_not_unpack_without_end(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(b"a" * 5_000_000))
    check_size(path, 5_000_000)
    with pytest.raises(UnreadableFile, match="unpacks"):
        check_size(path, 4_000_000)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableFile, match="damaged"):
        check_size(path, 4_000_000)
