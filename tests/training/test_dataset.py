from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shelfwise.errors import NotEnoughData
from shelfwise.schema import Event, EventType, Product
from shelfwise.settings import Settings
from shelfwise.store import Store, open_store
from shelfwise.training.dataset import levels, read_dataset

START = datetime(2024, 3, 1, tzinfo=UTC)


def event(kind: EventType, product: str, days: float, *, customer: str = "", session: str = "", **more: float) -> Event:
    when = START + timedelta(days=days)
    return Event(type=kind, product=product, customer=customer, session=session, time=when, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False)
    store.put_products(
        [
            Product(id="milk", title="Milk", product_type="Food > Dairy", brand="Farm", price=1.5),
            Product(id="tea", title="Tea", product_type="Food > Drinks"),
            Product(id="soap", title="Soap"),
        ]
    )
    buy, view = EventType.PURCHASE, EventType.VIEW_ITEM
    store.append_events(
        [
            event(buy, "tea", 3, customer="ann", price=2.0, quantity=2),
            event(buy, "milk", 1, customer="ann", price=1.5),
            event(view, "gone", 2, customer="ann"),
            event(EventType.REMOVE_FROM_CART, "soap", 2.5, customer="ann"),
            event(view, "soap", 1, session="early"),
            event(buy, "soap", 4, customer="bob", session="early"),
            event(view, "tea", 5, session="nobody"),
        ]
    )
    return store


def test_reads_positive_events_in_time_order(store: Store) -> None:
    dataset = read_dataset(store, None, Settings())
    assert dataset.items.outside == ("milk", "tea", "soap", "gone")
    rows = {
        name: [dataset.items.outside[i] for i in dataset.sequences.items_of(at)]
        for at, name in enumerate(dataset.customers)
    }
    # The session signed in later: all of it is bob's. What was taken out of the cart is no positive signal.
    assert rows == {"ann": ["milk", "gone", "tea"], "bob": ["soap", "soap"], "session:nobody": ["tea"]}
    ann = dataset.sequences.select([dataset.customers.inside("ann")])  # type: ignore[arg-type]
    assert ann.kind.tolist() == [EventType.PURCHASE.code, EventType.VIEW_ITEM.code, EventType.PURCHASE.code]
    assert np.allclose(ann.price, [1.5, np.nan, 2.0], equal_nan=True)
    assert ann.time[0] == int((START + timedelta(days=1)).timestamp())


def test_knows_what_the_catalogue_tells(store: Store) -> None:
    features = read_dataset(store, None, Settings()).features
    assert features.n == 4
    assert features.category is not None
    assert [features.category_names[code] if code >= 0 else "" for code in features.category] == [
        "Food > Dairy", "Food > Drinks", "", "",
    ]  # fmt: skip
    assert features.brand is not None
    assert features.brand.tolist() == [0, -1, -1, -1]
    assert np.allclose(features.price, [1.5, np.nan, np.nan, np.nan], equal_nan=True)
    assert features.text is None
    top, names = levels(features.category, features.category_names, 1)
    assert names == ("Food",)
    assert top.tolist() == [0, 0, -1, -1]


def test_pixels_are_there_where_asked_for(store: Store, tmp_path: Path) -> None:
    Image.new("RGB", (50, 50), "red").save(tmp_path / "tea.png")
    store.put_products([Product(id="tea", title="Tea", image_link="tea.png")])
    settings = Settings(text_encoder="none", threads=1)
    assert read_dataset(store, tmp_path, settings).features.pixels is None
    features = read_dataset(store, tmp_path, settings, pixels=True).features
    assert features.image is not None
    assert features.pixels is not None
    assert features.pixels.shape == (4, 32, 32, 3)
    assert np.flatnonzero(features.pixels.any((1, 2, 3))).tolist() == np.flatnonzero(features.image.any(1)).tolist()
    assert (features.pixels[features.image.any(1)] == (255, 0, 0)).all()
    settings = Settings(text_encoder="none", image_encoder="none", threads=1)
    assert read_dataset(store, tmp_path, settings, pixels=True).features.pixels is None


def test_until_and_split_let_no_future_in(store: Store) -> None:
    cut = START + timedelta(days=3)
    dataset = read_dataset(store, None, Settings())
    before, after = dataset.split(cut, days=1.5)
    seconds = int(cut.timestamp())
    assert before.time.max() < seconds <= after.time.min()
    assert after.time.max() < seconds + 1.5 * 86_400
    assert len(before) == len(after) == len(dataset.customers)
    early = read_dataset(store, None, Settings(), until=cut)
    assert early.sequences.rows == before.rows


def test_a_record_without_events_is_refused(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False)
    with pytest.raises(NotEnoughData, match="load events"):
        read_dataset(store, None, Settings())


def test_a_few_events_after_a_long_silence_do_not_move_the_clock(store: Store) -> None:
    buy = EventType.PURCHASE
    store.append_events([event(buy, "tea", 5.5, customer=f"c{number}") for number in range(40)])
    before = read_dataset(store, None, Settings()).sequences.time.max()
    store.append_events([event(buy, "milk", 400, customer="ann"), event(buy, "soap", 700, customer="late")])
    sequences = read_dataset(store, None, Settings()).sequences
    assert sequences.rows == 48
    assert sequences.time.max() == before
    assert sequences.items_of(0)[-1] == 0  # ann's newest is still the milk
    store.append_events([event(buy, "milk", 900, customer=f"c{number}") for number in range(40)])
    assert read_dataset(store, None, Settings()).sequences.time.max() > before


def test_a_later_sign_in_tells_nothing_of_what_was_before(store: Store) -> None:
    """Evaluated as of day 3, nobody knew that the early session is bob's; as of day 5 it is."""
    dataset = read_dataset(store, None, Settings())
    bob = dataset.customers.inside("bob")
    for day, products in ((3, []), (5, ["soap", "soap"])):
        before, _ = dataset.split(START + timedelta(days=day))
        assert [dataset.items.outside[item] for item in before.items_of(bob)] == products
    before, after = dataset.split(START + timedelta(days=3))
    assert [dataset.items.outside[item] for item in after.items_of(bob)] == ["soap"]
    assert len(before.items_of(dataset.customers.inside("ann"))) == 2
    early = read_dataset(store, None, Settings(), until=START + timedelta(days=3))
    assert "bob" not in early.customers or not len(early.sequences.items_of(early.customers.inside("bob")))
    everything = read_dataset(store, None, Settings()).sequences
    assert everything.rows == dataset.sequences.rows
