"""Fuzzing the real API of a small real shop: never a 5xx, and every answer as the OpenAPI document says.

Schemathesis makes requests from the document itself, right and wrong ones; hypothesis types queries.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.shop import Shop

#: What no example may do to the next one: the shop is one for all of them.
FUZZED = settings(
    max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Pieces of query languages, markup, shells, paths, and of scripts that break naive text handling.
PIECES = [
    *("AND", "OR", "NOT", "(", ")", "*", "?", "~", "^9", '"', "'", "\\", "/", ":", "title:", "[a TO b]", "{", "+", "-"),
    *(
        "'; DROP TABLE products; --",
        "<script>alert(1)</script>",
        "${jndi:x}",
        "../../etc/passwd",
        "%00",
        "\x00",
        "\x1b",
    ),
    *(
        "\u202e",
        "\u200f",
        "\ufeff",
        "שלום",
        "قهوة",
        "茶",
        "紅茶",
        "😀",
        "👩‍👩‍👧‍👦",
        "e\u0301\u0301",
        "ﬃ",
        "１２",
        "İ",
        "ß",
        "ǆ",
    ),
    *("tea", "Soap", "under 5", "50-100元", "without", "cheap", "TN-2110", "15.6 inch", "1e999", "-0", "nan", "9" * 60),
]
QUERIES = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)


@pytest.fixture(scope="module")
def client(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = Path(shutil.copytree(simulated, tmp_path_factory.mktemp("fuzz") / "shop"))
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as opened:
        yield opened


@pytest.fixture(scope="module")
def operations(client: TestClient) -> dict[str, Any]:
    """The document's operations by method and path."""
    document = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    found = [result.ok() for result in document.get_all_operations()]
    return {operation.label: operation for operation in found}


OPERATIONS = [
    *("POST /v1/search", "POST /v1/search/image", "GET /v1/suggest", "POST /v1/recommend", "POST /v1/similar"),
    *("POST /v1/events", "PUT /v1/products", "DELETE /v1/products/{id}", "GET /v1/health"),
    *("GET /v1/rules", "PUT /v1/rules", "DELETE /v1/rules/{id}"),
    *("GET /v1/synonyms", "PUT /v1/synonyms", "DELETE /v1/synonyms/{id}", "GET /v1/synonyms/suggestions"),
    *("GET /v1/audit", "POST /v1/audit/{number}/undo"),
    *("GET /v1/forecast/{product}", "GET /v1/stock", "PUT /v1/stock", "POST /v1/orders"),
    *("GET /v1/ready", "PATCH /v1/products", "GET /v1/campaigns", "PUT /v1/campaigns", "POST /v1/campaigns"),
    *("POST /v1/campaigns/contacts", "POST /v1/campaigns/redemptions"),
    *("POST /v1/campaigns/{id}/audience", "GET /v1/campaigns/{id}/effect"),
]
#: Those that take what a document can call wrong.
FUSSY = [
    *("POST /v1/search", "POST /v1/search/image", "GET /v1/suggest", "POST /v1/recommend", "POST /v1/similar"),
    *("POST /v1/events", "PUT /v1/products", "PUT /v1/rules", "PUT /v1/synonyms", "PUT /v1/stock", "POST /v1/orders"),
]
#: What the test's client sends at most. It raises for more, and hypothesis then shrinks for minutes.
LONGEST_URL = 65_536
RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


def test_every_operation_is_fuzzed(operations: dict[str, Any]) -> None:
    assert set(operations) == set(OPERATIONS)


@pytest.mark.parametrize(
    ("label", "mode"), [*((label, RIGHT) for label in OPERATIONS), *((label, WRONG) for label in FUSSY)]
)
def test_the_api_keeps_its_document(
    operations: dict[str, Any], client: TestClient, label: str, mode: GenerationMode
) -> None:
    @FUZZED
    @given(case=operations[label].as_strategy(generation_mode=mode))
    def keeps(case: Any) -> None:
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://localhost")).prepare()
        assume(len(str(sent.url)) < LONGEST_URL)
        reply = client.request(str(sent.method), str(sent.url), content=sent.body, headers=dict(sent.headers))
        case.validate_response(reply, checks=CHECKS)

    keeps()


@given(query=QUERIES, fields=st.fixed_dictionaries({}, optional={"k": st.integers(1, 200), "explain": st.booleans()}))
@example(query="茶" * 10_000, fields={})
@example(query="tea " * 2_500, fields={"explain": True})
@settings(FUZZED, max_examples=150)
def test_any_query_gets_an_answer(client: TestClient, query: str, fields: dict[str, Any]) -> None:
    body = json.dumps({"query": query, **fields}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    reply = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    if any("\ud800" <= c <= "\udfff" for c in query):  # half a character: no UTF-8
        assert reply.status_code == 400
        return
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert len(answer["items"]) <= fields.get("k", 24)
    assert len({item["product"] for item in answer["items"]}) == len(answer["items"])
    for item in answer["items"]:
        for start, end in item["highlights"].get("title", ()):
            assert 0 <= start < end <= len(item["title"])


@given(query=QUERIES)
@settings(FUZZED, max_examples=100)
def test_any_prefix_gets_suggestions(client: TestClient, query: str) -> None:
    reply = client.get("/v1/suggest", params={"q": query.encode("utf-8", "replace").decode(), "k": 5})
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["suggestions"]) <= 5
