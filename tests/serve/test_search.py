"""Search over HTTP: shapes, recording, steering, photos, bad input; a search changes the next recommendation."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from shelfwise.schema import Rule, RuleAction, Synonym
from shelfwise.serve.app import create_app
from shelfwise.serve.search import MAX_IMAGE, check_photo, multipart
from shelfwise.serve.wire import Refused
from shelfwise.shop import Shop
from tests.waiting import wait_for

RULE = {"id": "r1", "action": "pin", "query": "tea", "products": ["Soap-3"]}


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop), base_url="http://localhost") as opened:
        yield opened


def found(client: TestClient, query: str = "", **fields: Any) -> dict[str, Any]:
    reply = client.post("/v1/search", json={"query": query, **fields})
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-request-id"] == reply.json()["request_id"]
    return dict(reply.json())


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["product"] for item in answer["items"]]


def test_an_answer_has_the_promised_shape(client: TestClient) -> None:
    answer = found(client, "soap number 3", facets=["category", "price"], k=3)
    assert set(answer) == {
        *("request_id", "query", "items", "total", "facets", "reading"),
        *("did_you_mean", "corrected", "relaxed", "after"),
    }
    assert ids(answer)[0] == "Soap-3"
    assert len(answer["items"]) == 3
    assert answer["total"] >= 3
    assert {facet["name"] for facet in answer["facets"]} == {"category", "price"}
    for item in answer["items"]:
        assert set(item) >= {"product", "score", "sources", "reason", "title", "highlights", "variants"}


def test_filters_sorting_and_pages(client: TestClient) -> None:
    tea = {"categories": ["Tea"], "price_max": 9}
    assert set(ids(found(client, "number", filters=tea, k=50))) == {f"Tea-{i}" for i in range(9)}
    prices = [int(id.split("-")[1]) for id in ids(found(client, "tea", sort="price_desc", k=5))]
    assert prices == sorted(prices, reverse=True)
    seen: list[str] = []
    after = ""
    for _ in range(20):
        page = found(client, "", filters={"categories": ["Tea"]}, k=4, after=after)
        seen += ids(page)
        after = page["after"]
        if not after:
            break
    assert sorted(seen) == sorted(f"Tea-{i}" for i in range(15))


def test_a_product_put_is_found_at_once_and_gone_when_deleted(client: TestClient) -> None:
    assert "n1" not in ids(found(client, "zanzibar"))
    client.put("/v1/products", json={"id": "n1", "title": "Zanzibar blend", "product_type": "Tea", "price": 3})
    assert ids(found(client, "zanzibar"))[0] == "n1"
    client.delete("/v1/products/n1")
    assert "n1" not in ids(found(client, "zanzibar"))


@pytest.mark.parametrize("who", [{"session": "s9"}, {"customer": "c0"}])
def test_a_recorded_search_changes_the_next_recommendation(client: TestClient, shop: Shop, who: dict[str, str]) -> None:
    def soap() -> list[dict[str, Any]]:
        reply = client.post("/v1/recommend", json=who)
        return [item for item in reply.json()["items"] if item["product"].startswith("Soap")]

    before = soap()
    found(client, "soap", **who)
    assert len(soap()) == len(before)  # not recorded: nothing follows from it
    answer = found(client, "soap", record=True, **who)
    after = soap()
    assert len(after) > len(before)
    assert any(item["reason"] == "Because you searched for soap" for item in after)
    assert any("search" in item["sources"] for item in after)
    (event,) = [event for event in shop.last_events(**who, n=50) if event.type == "search"]
    assert (event.query, event.request_id) == ("soap", answer["request_id"])


def test_a_search_event_counts_the_same(client: TestClient) -> None:
    event = {"type": "search", "session": "s4", "query": "bakery"}
    assert client.post("/v1/events", json=event).status_code == 200
    reply = client.post("/v1/recommend", json={"session": "s4"}).json()
    assert any(item["reason"] == "Because you searched for bakery" for item in reply["items"])


def test_recording_asks_who_and_for_the_scope(client: TestClient, shop: Shop) -> None:
    reply = client.post("/v1/search", json={"query": "tea", "record": True})
    assert (reply.status_code, reply.json()["error"]["field"]) == (422, "record")
    assert client.post("/v1/search", json={"query": " ", "record": True, "session": "s"}).status_code == 200
    assert shop.last_events(session="s", n=5) == []
    key = {"x-api-key": shop.keys.create("web", ["read"])}
    body = {"query": "tea", "session": "s"}
    assert client.post("/v1/search", json=body, headers=key).status_code == 200
    assert client.post("/v1/search", json={**body, "record": True}, headers=key).status_code == 403
    assert client.get("/v1/suggest?q=te").status_code == 401


def test_rules_steer_the_very_next_search(client: TestClient) -> None:
    assert ids(found(client, "tea"))[0].startswith("Tea")
    client.put("/v1/rules", json=[RULE, {"action": "hide", "query": "TEA", "products": ["Tea-0", "Tea-1"]}])
    answer = ids(found(client, " Tea ", k=50))
    assert answer[0] == "Soap-3"
    assert not {"Tea-0", "Tea-1"} & set(answer)
    assert ids(found(client, "tea", filters={"categories": ["Tea"]}))[0] != "Soap-3"
    client.delete("/v1/rules/r1")
    assert ids(found(client, "tea"))[0].startswith("Tea")


QUERIES = [
    "",
    " ",
    "\x00\x07\x1b[31m",
    "\u202eאבג شاي",
    "😀🧼🫖",
    "AND OR ( *",
    '"',
    "tea AND (NOT soap",
    "title:tea^9999 ~2",
    "'; DROP TABLE products; --",
    "<script>alert(1)</script>",
    "a/b\\c//",
    "%00%ff",
    "tea " * 2500,
    "茶" * 10_000,
    "\u0301" * 500,
    "-tea",
    "+-!{}[]^~*?:/",
    "under 0",
    "1e999",
    "9" * 400,
]


@pytest.mark.parametrize("query", QUERIES)
def test_whatever_is_typed_gets_an_answer(client: TestClient, query: str) -> None:
    answer = found(client, query)
    assert answer["items"] or answer["total"] == 0
    assert client.get("/v1/suggest", params={"q": query[:5_000]}).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": 3}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"k": 0}, "k"),
        ({"k": 201}, "k"),
        ({"sort": "best"}, "sort"),
        ({"after": "!!"}, "after"),
        ({"filters": {"price_min": 2, "price_max": 1}}, "filters.price_min"),
        ({"filters": {"attributes": {"a": {}}}}, "filters.attributes.a"),
        ({"filters": {"ranges": {"a": [2, 1]}}}, "filters.ranges.a"),
        ({"filters": {"ranges": []}}, "filters.ranges"),
        ({"undo": "x"}, "undo"),
        ({"qurey": "x"}, "qurey"),
        ([], None),
    ],
)
def test_bad_input_is_told_where(client: TestClient, body: object, field: str | None) -> None:
    reply = client.post("/v1/search", json=body)
    assert reply.status_code == 422, reply.text
    assert reply.json()["error"]["field"] == field


@pytest.mark.parametrize("asked", ["k=0", "k=21", "k=x", "k=²", "k=1e1", "qq=tea", "q=" + "x" * 10_001])
def test_bad_parameters_are_refused(client: TestClient, asked: str) -> None:
    assert client.get(f"/v1/suggest?{asked}").status_code == 422


def test_suggestions_complete_what_is_typed(client: TestClient) -> None:
    content = client.get("/v1/suggest", params={"q": "soa", "k": 5}).json()
    assert 0 < len(content["suggestions"]) <= 5
    assert all("soap" in row["text"].casefold() for row in content["suggestions"])


def photo(kind: str = "PNG", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, **options)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG whose head promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 200)]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=50)
    return out.getvalue()


HOSTILE = {
    "empty": (b"", "empty"),
    "text": (b"GIF? no, text", "cannot be read"),
    "gif": (photo("GIF"), "cannot be read"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read"),
    "large": (bomb(60_000, 60_000), "cannot be read|pixels"),
    "rather large": (bomb(9_000, 9_000), "pixels"),
    "cut": (photo("JPEG", (300, 300))[:400], "cannot be decoded|cannot be read"),
    "cut png": (photo("PNG", (300, 300))[:120], "cannot be decoded|cannot be read"),
    "few pixels of many": (bomb(500, 500), "cannot be decoded"),
    "moving webp": (animated("WEBP"), "moves"),
    "moving png": (animated("PNG"), "moves"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_photo_is_refused_and_told_why(client: TestClient, name: str) -> None:
    body, problem = HOSTILE[name]
    with pytest.raises(Refused, match=problem):
        check_photo(body)
    reply = client.post("/v1/search/image", content=body, headers={"content-type": "image/png"})
    assert (reply.status_code, reply.json()["error"]["field"]) == (422, "image")


def test_photos_of_every_kind_reach_the_engine(client: TestClient, shop: Shop) -> None:
    """This shop has no photo encoder, which is all that may be missing."""
    for kind in ("PNG", "JPEG", "WEBP"):
        reply = client.post("/v1/search/image", files={"image": photo(kind)}, data={"question": '{"k": 3}'})
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "no_photos")


def test_ways_of_sending_a_photo(client: TestClient) -> None:
    send = client.post
    for kind in ("image/gif", "image/svg+xml", "text/plain", "application/json"):
        assert send("/v1/search/image", content=photo(), headers={"content-type": kind}).status_code == 415
    png = {"content-type": "image/png"}
    assert send("/v1/search/image", content=bytes(MAX_IMAGE + 1), headers=png).status_code == 413
    for question in ('{"k": 0}', "[]", '{"query": "x"}'):
        reply = send("/v1/search/image", params={"question": question}, content=photo(), headers=png)
        assert reply.status_code == 422, reply.text
    assert send("/v1/search/image", params={"question": "{"}, content=photo(), headers=png).status_code == 400
    form = {"content-type": "multipart/form-data; boundary=xyz"}
    assert send("/v1/search/image", content=b"--xyz\r\n", headers=form).status_code == 400
    assert send("/v1/search/image", files={"picture": photo()}).status_code == 422


def test_a_form_is_read_as_it_was_sent() -> None:
    body = photo()
    sent = (
        b'--a b\r\nContent-Disposition: form-data; name="question"\r\n\r\n{}\r\n'
        b'--a b\r\ncontent-disposition: form-data; name="image"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
        + body
        + b"\r\n--a b--\r\n"
    )
    assert multipart('multipart/form-data; boundary="a b"', sent) == {"question": b"{}", "image": body}
    for kind in ("multipart/form-data", "multipart/form-data; boundary=other"):
        with pytest.raises(Refused):
            multipart(kind, sent)


def test_searches_are_counted(client: TestClient) -> None:
    found(client, "tea")
    text = client.get("/metrics").text
    assert "shelfwise_searches_total 1.0" in text
    assert 'route="/v1/search"' in text
    assert json.dumps("tea") not in text


def test_another_process_steers_a_running_server(client: TestClient, shop: Shop) -> None:
    """What the command line changes, every worker follows: within a second, at its next look at the record."""
    client.get("/v1/health")
    with Shop(shop.folder) as other:
        other.store.put_rules([Rule(action=RuleAction.PIN, query="tea", products=("Soap-3",))], "ada")
        other.store.put_synonyms([Synonym.parse("lather => soap")], "ada")
    wait_for(lambda: ids(found(client, "tea"))[0] == "Soap-3", 5)
    assert ids(found(client, "lather"))[0].startswith("Soap")
