"""The record: products and events, durable before they are acknowledged."""

from shelfwise.store.copying import check_record, copy_record
from shelfwise.store.events import Appended
from shelfwise.store.history import History
from shelfwise.store.offers import Offers
from shelfwise.store.products import ProductChange
from shelfwise.store.store import Counts, Store, open_store
from shelfwise.store.writer import EventWriter

__all__ = [
    "Appended",
    "Counts",
    "EventWriter",
    "History",
    "Offers",
    "ProductChange",
    "Store",
    "check_record",
    "copy_record",
    "open_store",
]
