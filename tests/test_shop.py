"""The whole way of the data in one folder: feeds in, learned, answered, changed by the next event."""

import json
from datetime import timedelta

import pytest

from shelfwise.cli import app as cli
from shelfwise.errors import BundleError, InvalidRequest, ShopError, UnknownProduct
from shelfwise.schema import Event, EventType, Product
from shelfwise.shop import Shop
from tests.shops import END, write_feeds


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "shop"
    products, events = write_feeds(folder.parent)
    with Shop.create(folder, name="Four aisles", width=32, epochs=6, minutes=0.3, report_questions=0) as shop:
        assert shop.load_products(products).kept == 60
        assert shop.load_events(events).dropped == 0
        shop.train()
        yield shop


def aisles(answer):
    return [item.product.split("-")[0] for item in answer.items]


def test_customers_get_their_own_aisle(trained):
    for customer, aisle in (("c0", "tea"), ("c1", "garden"), ("c2", "bath"), ("c3", "toys")):
        found = aisles(trained.recommend(customer=customer, k=5, now=END))
        assert found.count(aisle) >= 4, (customer, found)


def test_every_product_has_sources_and_a_reason(trained):
    for item in trained.recommend(customer="c0", k=12).items:
        assert item.sources
        assert item.reason


def test_one_event_changes_an_anonymous_visitors_next_answer(trained):
    before = trained.recommend(session="visitor", k=5)
    trained.append_events([Event(type=EventType.VIEW_ITEM, session="visitor", product="bath-3")])
    after = trained.recommend(session="visitor", k=5)
    assert [item.product for item in before.items] != [item.product for item in after.items]
    assert aisles(after).count("bath") >= 3


def test_who_signs_in_keeps_what_the_session_did(trained):
    trained.append_events([Event(type=EventType.VIEW_ITEM, session="s1", product="toys-2")])
    trained.append_events([Event(type=EventType.VIEW_ITEM, session="s1", customer="fresh", product="toys-4")])
    assert aisles(trained.recommend(customer="fresh", k=5)).count("toys") >= 3


def test_a_new_product_is_recommendable_at_once(trained):
    assert trained.recommend(customer="c1", k=1).items  # the engine is up
    title = "Garden thing number 99"
    trained.put_products(
        [Product(id="new", title=title, description="Fine Garden", brand="Garden Co", product_type="Garden", price=4.5)]
    )
    found = [item.product for item in trained.similar("garden-0", k=30).items]
    assert "new" in found
    recommended = trained.recommend(customer="c1", surface="product", seeds=["garden-0"], k=40)
    assert "new" in {item.product for item in recommended.items}
    assert aisles(trained.similar("new", k=5)).count("garden") >= 4
    assert trained.delete_product("new")
    assert "new" not in {item.product for item in trained.similar("garden-0", k=60).items}


def test_similar_refuses_unknown_products(trained):
    with pytest.raises(UnknownProduct, match="nothing-like-it"):
        trained.similar("nothing-like-it")


@pytest.mark.parametrize("wrong", [{"k": 0}, {"k": 10_000}, {"surface": "moon"}, {"customer": "x" * 500}])
def test_a_wrong_request_names_its_field(trained, wrong):
    with pytest.raises(InvalidRequest) as caught:
        trained.recommend(**{"customer": "c0", **wrong})
    assert caught.value.field in wrong


def test_already_bought_can_be_left_out(trained):
    bought = {e.product for e in trained.last_events(customer="c0", n=1000) if e.type is EventType.PURCHASE}
    answer = trained.recommend(customer="c0", k=10, exclude_purchased=True)
    assert len(answer.items) == 10
    assert not bought & {item.product for item in answer.items}


def test_what_was_bought_long_ago_is_left_out_too(trained, monkeypatch):
    monkeypatch.setenv("SHELFWISE_MEMORY", "1")
    with Shop(trained.folder) as forgetful:
        bought = {e.product for e in forgetful.last_events(customer="c0", n=1000) if e.type is EventType.PURCHASE}
        assert len(bought) > 1
        answer = forgetful.recommend(customer="c0", k=40, exclude_purchased=True)
        assert not bought & {item.product for item in answer.items}
        assert bought & {item.product for item in forgetful.recommend(customer="c0", k=60).items}


def test_bundles_roll_back(trained):
    first = trained.bundles()[0]["version"]
    second = trained.train()
    assert [entry["current"] for entry in trained.bundles()] == [True, False]
    assert trained.rollback() == first
    trained.use_bundle(second)
    assert trained.bundle_version != second  # the running engine follows at its next refresh
    trained.refresh()
    assert trained.bundle_version == second
    with pytest.raises(BundleError):
        trained.use_bundle("no-such-version")


def test_training_leaves_a_report(trained):
    version = trained.bundles()[-1]["version"]
    page = (trained.folder / "reports" / version / "report.html").read_text("utf-8")
    assert "Four aisles" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.slow
def test_the_evaluation_puts_every_baseline_beside(trained):
    result, folder = trained.evaluate()
    names = {row.name for row in result.rows}
    assert {"engine", "network", "popularity", "repurchase", "item-knn", "ncf", "described"} <= names
    assert (folder / "report.html").exists()


def test_next_period_has_its_rows(trained):
    result = trained.next_period(END - timedelta(days=14), 14, only=["engine", "repurchase", "popularity"])
    assert {"recall@12", "ndcg@12", "map@12", "new_recall@12", "new_ndcg@12", "new_map@12"} <= set(result["rows"][0])


def test_before_training_the_way_on_is_told(tmp_path):
    with Shop.create(tmp_path / "empty") as shop, pytest.raises(BundleError, match="load products"):
        shop.recommend(customer="a")
    with pytest.raises(ShopError, match="shelfwise init"):
        Shop(tmp_path)
    with pytest.raises(ShopError, match="already"):
        Shop.create(tmp_path / "empty")


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["shelfwise", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_the_command_line_answers_in_json(trained, monkeypatch, capsys):
    code, out, _ = run(
        monkeypatch, capsys, "recommend", "--customer", "c0", "-k", 3, "--json", "--shop", trained.folder
    )
    answer = json.loads(out)
    assert code == 0
    assert len(answer["items"]) == 3
    assert set(answer["items"][0]) == {"product", "score", "sources", "reason"}
    code, out, _ = run(monkeypatch, capsys, "bundles", "list", "--json", "--shop", trained.folder)
    assert code == 0
    assert json.loads(out)[0]["version"]


def test_the_command_line_never_shows_a_traceback(monkeypatch, capsys, tmp_path):
    code, _, error = run(monkeypatch, capsys, "recommend", "--customer", "c0", "--shop", tmp_path)
    assert code == 1
    assert "ShopError" in error
    assert "Traceback" not in error
    code, _, error = run(monkeypatch, capsys, "init", tmp_path / "s")
    assert code == 0
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"id,title\n1,\xff\xfe\n")
    code, _, error = run(monkeypatch, capsys, "load", "products", bad, "--encoding", "utf-8", "--shop", tmp_path / "s")
    assert code == 1
    assert "line 2" in error.replace("\n", " ")
