"""How fast `POST /v1/campaigns` answers at a steady rate.

    python benchmarks/campaigns.py --shop PATH [--rate 100] [--seconds 20] [--campaigns 5] [--json]

The server runs over a copy of the shop as in benchmarks/serve.py, whose client and clock these are. Campaigns are
drafted over the shop's own categories, and everybody who bought is recorded as addressed by each, with three products
and a reason: the most a question can find. Two customers in three have said that they may be addressed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl
from serve import encode, load, open_loop, server


def prepare(shop: Path, campaigns: int) -> list[str]:
    """Draft the campaigns and address every customer; the customers."""
    from shelfwise.plan.campaigns.draft import Draft, Offer
    from shelfwise.schema import now, to_micros
    from shelfwise.shop import Shop

    chance, moment = random.Random(0), now()
    with Shop(shop) as opened:
        products = opened.store.products_frame()["id"].to_list()
        customers = sorted(opened.store.customers())
        for number in range(campaigns):
            named = tuple(chance.sample(products, min(200, len(products))))
            plan = Draft(
                id=f"benchmark-{number}",
                start=moment - timedelta(days=1),
                end=moment + timedelta(days=14),
                offers=(Offer(code="offer-1", products=named, discount=0.1),),
            )
            opened.campaigns.put([plan])
            contacts = pl.DataFrame(
                {
                    "campaign": plan.id,
                    "customer": customers,
                    "arm": "sent",
                    "time": to_micros(moment),
                    "offer": "offer-1",
                    "products": [json.dumps(chance.sample(named, 3)) for _ in customers],
                    "reason": "popular",
                    "response": 0.1,
                    "profit": [chance.random() for _ in customers],
                }
            )
            opened.store.campaign_record.add_contacts(contacts)
        told = [place % 3 > 0 for place in range(len(customers))]
        consents = pl.DataFrame({"customer": customers, "allowed": told, "time": to_micros(moment)})
        opened.store.campaign_record.put_consents(consents)
    chance.shuffle(customers)
    return customers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--campaigns", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="only JSON on standard output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.shop.resolve().parent, prefix="bench-campaigns-") as room:
        copy = Path(room) / "shop"
        shutil.copytree(arguments.shop, copy)
        customers = prepare(copy, arguments.campaigns)
        with server(copy, 1) as port:
            spec = {"port": port, "customers": customers, "rate": arguments.rate}
            load(__file__, **spec, seconds=3.0)
            result = {"customers": len(customers), "campaigns": arguments.campaigns}
            result |= load(__file__, **spec, seconds=arguments.seconds)
            print(json.dumps(result, indent=2 if arguments.json else None), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--client"]:
        spec = json.load(sys.stdin)
        requests = [encode("/v1/campaigns", {"customer": customer}) for customer in spec["customers"]]
        print(json.dumps(open_loop(spec["port"], requests, spec["rate"], spec["seconds"])))
    else:
        main()
