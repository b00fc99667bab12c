"""How long the shop window's pages take to their first byte, at a steady rate of pages.

    python benchmarks/pages.py --shop PATH [--rate 30] [--seconds 20] [--json]

Without a shop at PATH the demo's shop is made there first. One worker as in service, over a copy of the shop; pages are
asked for in an open loop (see serve.py): a page's time counts from when it was due. Home is the page of the window's
personas in turn, each of whom has just looked at three products and put one in the cart, so that they have all five
personal rows; and of visitors nobody knows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from serve import open_loop, server


def page(path: str, cookie: str = "") -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Accept: text/html", *([f"Cookie: {cookie}"] if cookie else [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def count_rows(port: int, request: bytes) -> int:
    """Rows of products on the page."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request.replace(b"Accept:", b"Connection: close\r\nAccept:"))
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).count(b' aria-labelledby="row-')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true", help="only JSON on standard output")
    arguments = parser.parse_args()

    from shelfwise.schema import Event, EventType
    from shelfwise.serve.metrics import Metrics
    from shelfwise.serve.web.visiting import Visitors
    from shelfwise.settings import FILE
    from shelfwise.shop import Shop

    if not (arguments.shop / FILE).exists():
        subprocess.run(
            [sys.executable, "-m", "shelfwise.cli", "demo", "--no-serve", "--shop", str(arguments.shop)], check=True
        )
    results: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    }
    with tempfile.TemporaryDirectory(dir=arguments.shop.resolve().parent, prefix="bench-pages-") as room:
        copy = Path(room) / "shop"
        shutil.copytree(arguments.shop, copy)
        with Shop(copy) as shop:
            personas = [persona.id for persona in Visitors(shop, Metrics()).personas()]
            products = [item.product for item in shop.recommend(customer=personas[0], k=50).items]
            for number, persona in enumerate(personas):
                looked = products[number : number + 3]
                shop.append_events([Event(type=EventType.VIEW_ITEM, customer=persona, product=one) for one in looked])
                shop.append_events([Event(type=EventType.ADD_TO_CART, customer=persona, product=looked[0])])
            words = [shop.title(product).split()[0] for product in products]
            results["shop"] = {"products": shop.product_count, "personas": len(personas)}
        pages = {
            "home, personal": [page("/", f"consent=given; persona={one.encode().hex()}") for one in personas],
            "home, unknown": [page("/")],
            "product": [page(f"/product/{quote(product)}") for product in products],
            "search": [page(f"/search?q={quote(word)}") for word in words],
        }
        with server(copy, 1) as port:
            results["rows"] = [count_rows(port, request) for request in pages["home, personal"]]
            for name, requests in pages.items():
                open_loop(port, requests, arguments.rate, 2.0)
                results[name] = open_loop(port, requests, arguments.rate, arguments.seconds)
                if not arguments.json:
                    print(name, json.dumps(results[name]), flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
