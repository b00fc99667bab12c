"""What the catalogue of engine and search takes: memory of its columns, over a shop's products or simulated ones.

    OMP_NUM_THREADS=1 python benchmarks/catalogue.py [--shop PATH] [--products 1000000]

Resident memory of one process after the store's frame is read (and given back), then with the engine's catalogue, then
with search's columns beside it. Vectors, word index and what is learned are left out: they are held once as it is.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shelfwise.catalogue.products import Products
from shelfwise.engine.catalogue import Catalogue
from shelfwise.models.bundle import Bundle
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import items_of
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import IdMap, sequences_of


def resident() -> float:
    """MiB, freed memory given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("needs /proc/self/status")


def bundle_of(frame: pl.DataFrame) -> Bundle:
    """A bundle that learned nothing but which products there are."""
    items = items_of(frame, frame.height)
    events = sequences_of([[0]])
    return Bundle.make(
        items=IdMap(frame["id"].to_list()),
        features=items,
        artefacts={
            "popularity": Popularity(half_life=30.0).fit(events, items),
            "repurchase": Repurchase(half_life=90.0, rhythm=0.25).fit(events, items),
            "cooccurrence": Cooccurrence().fit(events, items),
        },
        until=0,
    )


def measured(frames: Callable[[], pl.DataFrame]) -> dict[str, Any]:
    """frames: reads the products' frame, anew each time."""
    bundle = bundle_of(frames())
    empty = resident()
    begun = time.perf_counter()
    catalogue = Catalogue(bundle, frames())
    engine = resident()
    products: Products = catalogue.products
    products.describe(frames())
    both = resident()
    seconds = time.perf_counter() - begun
    apart = Products(frames())
    rows = np.arange(products.view.n, dtype=np.int32)
    assert len(catalogue) == len(products) == len(apart)
    assert len(rows) == len(bundle.items)
    return {
        "products": len(products),
        "engine_mib": round(engine - empty, 1),
        "search_beside_it_mib": round(both - engine, 1),
        "both_mib": round(both - empty, 1),
        "seconds": round(seconds, 1),
        "search_of_its_own_mib": round(resident() - both, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path)
    parser.add_argument("--products", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.shop is None:
        from search_growth import Simulated

        path = Path(f"/tmp/shelfwise-simulated-{arguments.products}.parquet")
        if not path.exists():
            Simulated(arguments.products).frame.write_parquet(path)
        print(json.dumps(measured(lambda: pl.read_parquet(path))))
        return
    from shelfwise.shop import Shop

    with Shop(arguments.shop) as shop:
        print(json.dumps(measured(shop.store.products_frame)))


if __name__ == "__main__":
    main()
