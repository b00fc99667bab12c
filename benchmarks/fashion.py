"""A SIMULATED fashion shop, where most of what a month sells was never sold before: every question asked there.

    python benchmarks/fashion.py SHOP [--only QUESTION …] [--most N]

Makes SHOP if need be: 11,800 products (styles in two to four colours each, with texts and prices, no photos), 31,600
purchases of 6,000 customers over a year. Everything is a product of chance, and what is known to be true is said in
`simulated`. Prints the questions of the last month beside their baselines, the share of its purchases whose product
was never sold before, and what two pages have in common.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from shelfwise.evaluation.protocols import MOST
from shelfwise.shop import Shop
from shelfwise.training.dataset import read_dataset

STYLES, CUSTOMERS, PURCHASES, DAYS, MONTH = 4_000, 6_000, 31_662, 365, 30
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
DEPARTMENTS = ("Women", "Men", "Children")
KINDS = {  # and the part of an outfit that each is
    "Dresses": 0, "T-shirts": 1, "Blouses": 1, "Shirts": 1, "Jumpers": 1, "Trousers": 2, "Jeans": 2, "Skirts": 2,
    "Shorts": 2, "Jackets": 3, "Coats": 3, "Cardigans": 3, "Shoes": 4, "Boots": 4, "Bags": 5, "Belts": 5, "Scarves": 5,
    "Hats": 5, "Socks": 6, "Underwear": 6, "Swimwear": 7, "Nightwear": 8,
}  # fmt: skip
WORDS = {  # a look and what titles of it say
    "office": ("tailored", "pleated", "crease-resistant", "pinstriped", "slim-fit"),
    "sport": ("quick-drying", "seamless", "stretch", "running", "hooded"),
    "party": ("sequined", "satin", "glittery", "velvet", "draped"),
    "casual": ("cotton jersey", "relaxed-fit", "washed denim", "ribbed", "oversized"),
    "boho": ("crochet", "embroidered", "tiered", "fringed", "crinkled"),
    "classic": ("cashmere", "wool-blend", "double-breasted", "cable-knit", "herringbone"),
    "holiday": ("linen", "palm-print", "straw", "lightweight", "floral"),
    "street": ("cargo", "graphic-print", "utility", "distressed", "chunky"),
}
LOOKS = tuple(WORDS)
COLOURS = ("black", "white", "beige", "navy", "light blue", "red", "pink", "green", "grey", "brown", "yellow", "lilac")


def simulated(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(products, purchases) as frames to be loaded.

    A style belongs to a department, a kind and a look, has a quality of its own, and 35 in 100 styles are ever sold.
    It comes on a day by chance, from when on interest in it halves every eight days. A customer has a department, two
    looks, three colours and a level of price, and buys one to four products that go together: of one look, each another
    part of an outfit. So texts tell what somebody likes, and newness what is bought.
    """
    random = np.random.default_rng(seed)
    kinds = tuple(KINDS)
    department = random.choice(3, STYLES, p=(0.6, 0.22, 0.18))
    kind, look = random.integers(len(kinds), size=STYLES), random.integers(len(LOOKS), size=STYLES)
    level = random.normal(0, 0.5, STYLES)
    colours = [random.choice(len(COLOURS), size, replace=False) for size in random.integers(2, 5, STYLES)]
    style = np.repeat(np.arange(STYLES), [len(each) for each in colours])
    colour = np.concatenate(colours)
    words = [random.choice(WORDS[LOOKS[code]], 2, replace=False).tolist() for code in look]
    noun = ["scarf" if kinds[code] == "Scarves" else kinds[code].removesuffix("s") for code in kind]
    title = [f"{words[i][0].capitalize()} {noun[i].lower()}" for i in range(STYLES)]
    text = [
        f"{kinds[kind[i]]} in a {words[i][1]} quality. {LOOKS[look[i]].capitalize()} style, "
        f"for {DEPARTMENTS[department[i]].lower()}."
        for i in range(STYLES)
    ]
    price = np.round(np.exp(3 + level), 0) + 0.99
    products = pl.DataFrame(
        {
            "id": [f"s{each:05d}-{COLOURS[code].replace(' ', '-')}" for each, code in zip(style, colour, strict=True)],
            "title": [title[each] for each in style],
            "description": [
                f"{text[each]} {COLOURS[code].capitalize()}." for each, code in zip(style, colour, strict=True)
            ],
            "product_type": [f"{DEPARTMENTS[department[each]]} > {kinds[kind[each]]}" for each in style],
            "item_group_id": [f"s{each:05d}" for each in style],
            "color": [COLOURS[code] for code in colour],
            "price": [f"{price[each]:.2f} EUR" for each in style],
        }
    )
    comes = random.uniform(-30, DAYS, STYLES)
    appeal = np.exp(random.normal(0, 0.8, len(style))) * (random.random(STYLES) < 0.42)[style]
    part = np.array(list(KINDS.values()))[kind]
    rows: list[tuple[str, int, str, str]] = []
    theirs = random.choice(3, CUSTOMERS, p=(0.6, 0.22, 0.18))
    looks = np.stack([random.choice(len(LOOKS), 2, replace=False) for _ in range(CUSTOMERS)])
    likes = np.stack([random.choice(len(COLOURS), 3, replace=False) for _ in range(CUSTOMERS)])
    spends = random.normal(0, 0.4, CUSTOMERS)
    busy = random.exponential(1, CUSTOMERS) + 0.05
    visits = np.sort(random.uniform(0, DAYS, int(PURCHASES / 1.75)))
    for number, day in enumerate(visits.tolist()):
        age = day - comes
        fresh = np.where(age > 0, np.exp2(-np.maximum(age, 0) / 8), 0)
        customer = int(random.choice(CUSTOMERS, p=busy / busy.sum()))
        wanted = looks[customer, int(random.random() < 0.3)]
        liking = np.where(look == wanted, 3.0, 0) + np.where(department == theirs[customer], 3.5, 0)
        worth = fresh * np.exp(liking - np.abs(level - spends[customer]))
        weight = worth[style] * appeal * np.where(np.isin(colour, likes[customer]), 4.0, 1.0)
        free = np.ones(9)
        for place in range(1 + min(int(random.geometric(0.55)) - 1, 3)):
            chance = weight * free[part[style]]
            if chance.sum() <= 0:
                break
            item = int(random.choice(len(style), p=chance / chance.sum()))
            free[part[style[item]]] = 0.05
            moment = START + int(day * 86_400) + place
            when = datetime.fromtimestamp(moment, UTC).isoformat()
            rows.append((f"c{customer:04d}", number, when, products["id"][item]))
    columns = ["customer", "order", "time", "product"]
    purchases = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.col("order").cast(pl.String), type=pl.lit("purchase"), session=pl.format("visit-{}", "order")
    )
    return products, purchases.drop("order")


def made(folder: Path) -> Shop:
    """The shop in this folder, made and loaded where it is not there."""
    if (folder / "shelfwise.toml").exists():
        return Shop(folder)
    shop = Shop.create(folder)
    products, purchases = simulated()
    products.write_csv(folder / "products.csv")
    purchases.write_csv(folder / "events.csv")
    shop.load_products(folder / "products.csv")
    shop.load_events(folder / "events.csv")
    return shop


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("shop", type=Path)
    parser.add_argument("--only", nargs="*", help="questions by name")
    parser.add_argument("--most", type=int, default=MOST, help="questions of a kind")
    arguments = parser.parse_args()
    with made(arguments.shop) as shop:
        cutoff = datetime.fromtimestamp(START + (DAYS - MONTH) * 86_400, UTC)
        dataset = read_dataset(shop.store, None, shop.settings)
        past, window = dataset.split(cutoff, MONTH)
        sold = np.bincount(past.item, minlength=dataset.features.n) > 0
        products, purchases = 1 - sold.mean(), 1 - sold[window.item].mean()
        print(f"never sold before: {products:.0%} of products, {purchases:.0%} of a month's purchases", flush=True)
        result = shop.questions(cutoff, MONTH, only=arguments.only, most=arguments.most)
    for question in dict.fromkeys(row["question"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["question"] == question]
        print(f"{question} ({rows[0]['asked']} asked)")
        for row in sorted(rows, key=lambda row: -row["ndcg@12"]):
            interval = f"{row['low']:.4f} to {row['high']:.4f}"
            print(f"  {row['name']:28} {row['ndcg@12']:.4f}  {interval}  overlap {row['overlap']:.3f}")
    for row in result.get("pages", ()):
        print(f"pages of products {row['pages']}: {row}")


if __name__ == "__main__":
    main()
