"""The console's data and search pages over HTTP: forms, imports, refusals, hostile texts."""

from __future__ import annotations

import html
import re
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from shelfwise.plan.campaigns.draft import Draft, Offer
from shelfwise.schema import Availability, Event, EventType, Product, now, to_micros
from shelfwise.serve.app import create_app
from shelfwise.serve.imports import UPLOADS
from shelfwise.serve.web.console.guard import COOKIE
from shelfwise.shop import Shop
from shelfwise.trust.accounts import Accounts, csrf_of
from tests.waiting import wait_for

EVIL = '<script>alert("x")</script>"\'><img src=x onerror=alert(1)>'
PASSWORD = "a long enough passphrase"
PAGES = (
    *("/console/data", "/console/products", "/console/products?show=cold", "/console/products/evil"),
    *("/console/products/new%2F1", "/console/products/mug-red", "/console/search", "/console/search?q=red+mug"),
    *("/console/queries?days=365", "/console/rules", "/console/synonyms", "/console/customers"),
    *("/console/customers?id=c0", "/console/customers?id=evil%3Cb%3E"),
)


@pytest.fixture(scope="module")
def folder(drawn_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(drawn_shop, tmp_path_factory.mktemp("console-pages") / "shop"))
    with Shop(folder) as shop:
        shop.put_products(
            [
                Product(
                    id="new/1",
                    title="Crimson mug",
                    product_type="Kitchen > Mugs",
                    availability=Availability.OUT_OF_STOCK,
                ),
                Product(id="evil", title=EVIL, brand=EVIL, product_type=EVIL, description=EVIL, price=1.0),
            ]
        )
        shop.append_events(
            [
                Event(type=EventType.SEARCH, customer="evil<b>", query=EVIL),
                Event(type=EventType.VIEW_ITEM, customer="leaver", product="mug-red"),
            ]
        )
        Accounts(shop.store.accounts).create("ann", PASSWORD)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def signed(client: TestClient, folder: Path) -> Iterator[tuple[TestClient, str]]:
    """The client signed in, and the token of its forms."""
    with Shop(folder) as shop:
        secret = Accounts(shop.store.accounts).sign_in("ann", PASSWORD, "here")
    client.cookies.set(COOKIE, secret)
    yield client, csrf_of(secret)
    client.cookies.clear()


def found(client: TestClient, query: str) -> list[str]:
    return [hit["product"] for hit in client.post("/v1/search", json={"query": query}).json()["items"]]


def ended(client: TestClient, address: str) -> str:
    """The page of an import that has ended."""
    for _ in range(600):
        page = client.get(address).text
        if "/progress" not in page:
            return page
        time.sleep(0.1)
    raise AssertionError("the import did not end")


def send(client: TestClient, csrf: str, name: str, content: bytes) -> str:
    reply = client.post(
        "/console/data/import", data={"csrf": csrf}, files={"file": (name, content)}, follow_redirects=False
    )
    assert reply.status_code == 303, reply.text
    return str(reply.headers["location"])


def change_of(page: str) -> str:
    """The number of the newest change that can be undone."""
    return str(re.findall(r'name="number" value="(\d+)"', page)[0])


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_and_runs_nobodys_script(signed: tuple[TestClient, str], path: str, lang: str) -> None:
    client, _ = signed
    reply = client.get(path + ("&" if "?" in path else "?") + f"lang={lang}")
    assert reply.status_code == 200
    assert "<script>alert" not in reply.text
    assert "<img src=x" not in reply.text
    assert 'style="' not in reply.text
    assert not re.findall(r"<[^>]+\son\w+=", reply.text.replace("onerror=alert(1)", "")), "no script within attributes"
    assert not re.findall(r"console\.[a-z_]+\.[a-z_]+", re.sub(r"<[^>]*>", "", reply.text)), "a text is missing"


def test_nobody_reads_or_writes_without_signing_in(client: TestClient) -> None:
    for path in PAGES:
        reply = client.get(path, follow_redirects=False)
        assert reply.status_code in (302, 303), path
        assert "/console/login" in reply.headers["location"]
    for path in ("rules", "rules/end", "rules/undo", "synonyms", "customers/forget", "data/import"):
        reply = client.post(f"/console/{path}", data={"id": "leaver"}, follow_redirects=False)
        assert reply.status_code in (302, 303, 401, 403), path
        assert "mug" not in reply.text


def test_a_form_of_another_site_changes_nothing(signed: tuple[TestClient, str], folder: Path) -> None:
    client, csrf = signed
    for token in ("", "x" * 64, csrf[:-1], csrf + "a"):
        rule = {"csrf": token, "action": "hide", "query": "mug", "products": "mug-red"}
        assert client.post("/console/rules", data=rule, follow_redirects=False).status_code == 403
        gone = {"csrf": token, "id": "leaver", "typed": "leaver"}
        assert client.post("/console/customers/forget", data=gone, follow_redirects=False).status_code == 403
        file = {"file": ("feed.csv", b"id,title\na,A\n")}
        assert client.post("/console/data/import", data={"csrf": token}, files=file).status_code == 403
    with Shop(folder) as shop:
        assert shop.last_events(customer="leaver", n=5)
    assert not list((folder / UPLOADS).glob("*")), "nothing is kept of a file that may not be sent"
    assert "mug-red" in found(client, "red mug")


def test_a_feed_with_errors_is_read_before_anything_changes(signed: tuple[TestClient, str]) -> None:
    client, csrf = signed
    evil = EVIL.replace('"', '""')
    rows = ["id,title,price", "feed-1,Walnut abacus,3 USD", f'feed-2,"{evil}",dear', ",Nobody,4 USD"]
    address = send(client, csrf, "feed <b>.csv", "\n".join(rows).encode())
    page = ended(client, address)
    assert "feed &lt;b&gt;.csv" in page
    assert "<script>alert" not in page
    assert "Quality report" in page
    assert re.search(r"line\s+4", page), "the row in error is named"
    assert re.search(r"line\s+3", page)
    assert html.escape("dear") in page
    assert "Loading adds 2 new products and replaces 0" in page
    assert found(client, "walnut abacus")[:1] != ["feed-1"], "nothing has changed yet"
    reply = client.post(f"{address}/load", data={"csrf": csrf}, follow_redirects=False)
    page = ended(client, reply.headers["location"])
    assert "2 products are in the shop" in page
    wait_for(lambda: found(client, "walnut abacus")[:1] == ["feed-1"], 5)
    assert client.get("/console/products/feed-2").status_code == 200
    again = client.post(f"{address}/load", data={"csrf": csrf}, follow_redirects=False)
    assert again.headers["location"] == address, "loaded once; its file is gone"


def test_a_file_that_is_no_feed_says_so(signed: tuple[TestClient, str]) -> None:
    client, csrf = signed
    page = ended(client, send(client, csrf, "../../holiday.jpg", b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4))
    assert "The file cannot be used" in page
    assert "holiday.jpg" in page
    assert "../" not in re.sub(r'="[^"]*"', "", page)
    for id in ("nothing", "%2e%2e%2fshelfwise", "a" * 300):
        assert client.get(f"/console/data/import/{id}").status_code == 404


def test_an_import_is_cancelled(signed: tuple[TestClient, str], folder: Path) -> None:
    client, csrf = signed
    rows = "\n".join(f"many-{n},Thing number {n},{n} USD" for n in range(200_000))
    address = send(client, csrf, "many.csv", f"id,title,price\n{rows}\n".encode())
    assert "Stop the import" in client.get(address).text
    assert "<progress" in client.get(f"{address}/progress", headers={"hx-request": "true"}).text
    client.post(f"{address}/cancel", data={"csrf": csrf})
    page = ended(client, address)
    assert "was cancelled" in page
    assert client.get(f"{address}/progress", headers={"hx-request": "true"}).headers["hx-refresh"] == "true"
    with Shop(folder) as shop:
        assert shop.store.product("many-1") is None


def test_a_pin_is_seen_in_the_shop_and_taken_back(signed: tuple[TestClient, str]) -> None:
    client, csrf = signed
    before = found(client, "red mug")
    assert before[0] == "mug-red"
    rule = {"csrf": csrf, "action": "pin", "query": "Red  mug", "products": "lamp-blue", "position": "1"}
    page = client.post("/console/rules", data=rule)
    assert page.status_code == 200
    assert "The rule holds now" in page.text
    assert found(client, "red mug")[:2] == ["lamp-blue", "mug-red"]
    assert "by a rule" in client.get("/console/search?q=red+mug").text
    assert client.get("/search?q=red+mug").text.index("/product/lamp-blue") > 0, "the shop window shows it"
    undone = client.post("/console/rules/undo", data={"csrf": csrf, "number": change_of(page.text)})
    assert "Taken back" in undone.text
    assert found(client, "red mug") == before
    back = client.post("/console/rules/undo", data={"csrf": csrf, "number": change_of(undone.text)})
    assert found(client, "red mug")[0] == "lamp-blue", "taking back can be taken back"
    id = re.findall(r'name="id" value="([^"]+)"', back.text)[0]
    assert "has ended" in client.post("/console/rules/end", data={"csrf": csrf, "id": id}).text
    assert found(client, "red mug") == before
    for number in ("", "x", "9" * 30, "99999"):
        assert client.post("/console/rules/undo", data={"csrf": csrf, "number": number}).status_code == 409


def test_what_is_wrong_with_a_rule_is_said_at_its_field(signed: tuple[TestClient, str]) -> None:
    client, csrf = signed
    rule = {"csrf": csrf, "action": "pin", "query": EVIL, "products": "nothing-of-ours"}
    page = client.post("/console/rules", data=rule)
    assert page.status_code == 422
    assert re.search(r'id="f-products"[^>]*aria-invalid="true"', page.text)
    assert html.escape(EVIL, quote=True)[:20] in page.text, "what was typed stays"
    assert "<script>alert" not in page.text


def test_synonyms_are_added_dropped_and_taken_back(signed: tuple[TestClient, str]) -> None:
    client, csrf = signed
    assert client.post("/console/synonyms", data={"csrf": csrf, "line": "alone"}).status_code == 422
    page = client.post("/console/synonyms", data={"csrf": csrf, "line": "kumquatter => teapot"})
    assert "Search knows these words now" in page.text
    assert found(client, "kumquatter")[0].startswith("teapot")
    undone = client.post("/console/synonyms/undo", data={"csrf": csrf, "number": change_of(page.text)})
    assert "Taken back" in undone.text
    assert "kumquatter =&gt; teapot" in undone.text, "the change stays in the list"
    assert client.get("/v1/synonyms").json()["synonyms"] == []


def test_forgetting_asks_for_the_name(signed: tuple[TestClient, str], folder: Path) -> None:
    client, csrf = signed
    assert "Forget this customer" in client.get("/console/customers?id=leaver").text
    wrong = client.post("/console/customers/forget", data={"csrf": csrf, "id": "leaver", "typed": "c0"})
    assert wrong.status_code == 422
    assert "Nothing was deleted" in wrong.text
    with Shop(folder) as shop:
        assert len(shop.last_events(customer="leaver", n=5)) == 1
    gone = client.post("/console/customers/forget", data={"csrf": csrf, "id": "leaver", "typed": " leaver "})
    assert "Forgotten" in gone.text
    with Shop(folder) as shop:
        assert shop.last_events(customer="leaver", n=5) == []


def test_unknown_and_odd_addresses(signed: tuple[TestClient, str]) -> None:
    client, _ = signed
    assert client.get("/console/products/nothing").status_code == 404
    assert client.get("/console/products/..%2F..%2Fetc%2Fpasswd").status_code == 404
    assert client.get("/console/products?show=everything").status_code in (400, 422)
    assert client.get("/console/products?after=zzz").status_code in (400, 422)
    assert client.get("/console/queries?days=3").status_code in (400, 422)
    for query in (EVIL, "%00", "a" * 10_000, "AND OR ( *", "'; DROP TABLE products; --", "‮abc", "😀"):
        assert client.get("/console/search", params={"q": query}).status_code == 200
        assert client.get("/console/products", params={"q": query}).status_code == 200


@pytest.mark.parametrize(
    ("lang", "words"), [("en", ("By kind of customer", "Buyers won")), ("zh", ("按顾客类型", "累计"))]
)
def test_a_campaigns_page_shows_its_segments_and_qini_curve(
    signed: tuple[TestClient, str], folder: Path, lang: str, words: tuple[str, ...]
) -> None:
    client, _ = signed
    begin = now() - timedelta(days=7)
    plan = Draft(id="mugs", start=begin, end=now(), offers=(Offer(code="mug", products=("mug-red",), discount=0.1),))
    names = [f"addressed-{number}" for number in range(120)]
    with Shop(folder) as shop:
        shop.campaigns.put([plan])
        rows = {
            "campaign": plan.id,
            "customer": names,
            "arm": ["held_out" if number % 3 == 0 else "sent" for number in range(120)],
            **{"time": to_micros(begin), "offer": "mug", "products": "[]", "reason": "", "response": 0.1},
            "profit": [float(120 - number) for number in range(120)],
        }
        if shop.store.campaign_record.add_contacts(pl.DataFrame(rows)):
            when = begin + timedelta(days=1)
            bought = [name for number, name in enumerate(names) if number % 3 and number < 60]
            shop.append_events(
                [
                    Event(type=EventType.PURCHASE, customer=name, product="mug-red", price=9.0, time=when)
                    for name in bought
                ]
            )
    page = client.get(f"/console/campaigns/mugs?lang={lang}").text
    assert all(word in page for word in words)
    section = page[page.index('id="segments"') :]
    assert re.search(r"<td>120</td><td><strong>0.500</strong>", section), "half of those sent to bought, none held out"
    value = re.search(r"Qini[^<]*<strong>(-?[\d.]+)", section)
    assert value, "the coefficient stands under the curve"
    assert float(value[1]) > 0.5, "the best came first"
    assert not re.findall(r"console\.[a-z_]+\.[a-z_]+", re.sub(r"<[^>]*>", "", page)), "a text is missing"
