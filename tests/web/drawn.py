"""A small shop with photos that can be checked by eye: four things in ten colours, drawn; shoppers who keep to two."""

from __future__ import annotations

import random
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
from PIL import Image, ImageDraw

from shelfwise.schema import EVENT_COLUMNS, Product, now, to_micros
from shelfwise.shop import Shop

COLOURS = {
    "red": "#c8202a", "blue": "#1f4fb4", "green": "#2b8a3e", "yellow": "#f2c230", "black": "#1d1d1f",
    "white": "#f4f4f0", "orange": "#e8731c", "purple": "#6f3fa0", "pink": "#ea8fb0", "brown": "#7a4a26",
}  # fmt: skip
#: Thing → category, brand, price of the first; the companion is what its buyers buy next.
THINGS = {
    "mug": ("Kitchen > Mugs", "Clayhouse", 9.5),
    "teapot": ("Kitchen > Teapots", "Clayhouse", 29.0),
    "lamp": ("Living > Lamps", "Lumen & Sons", 45.0),
    "chair": ("Living > Chairs", "Oakridge", 120.0),
}
COMPANION = {"mug": "teapot", "teapot": "mug", "lamp": "chair", "chair": "lamp"}
WITHOUT_PHOTO = frozenset({"brown"})


def draw(thing: str, colour: str, path: Path) -> None:
    """A plain picture of the thing on a light ground."""
    picture = Image.new("RGB", (320, 320), "#e9e7e2")
    pen, fill = ImageDraw.Draw(picture), COLOURS[colour]
    if thing == "mug":
        pen.ellipse((190, 110, 280, 210), outline=fill, width=20)
        pen.rounded_rectangle((80, 80, 230, 250), 18, fill=fill)
    elif thing == "teapot":
        pen.ellipse((70, 110, 250, 260), fill=fill)
        pen.polygon([(240, 190), (305, 120), (290, 110), (230, 150)], fill=fill)
        pen.ellipse((145, 80, 175, 110), fill=fill)
    elif thing == "lamp":
        pen.polygon([(110, 60), (210, 60), (260, 160), (60, 160)], fill=fill)
        pen.rectangle((153, 160, 167, 270), fill="#555555")
        pen.rectangle((110, 270, 210, 282), fill="#555555")
    else:
        pen.rectangle((95, 50, 115, 290), fill=fill)
        pen.rectangle((95, 170, 235, 192), fill=fill)
        pen.rectangle((215, 170, 235, 290), fill=fill)
        pen.rectangle((95, 50, 125, 170), fill=fill)
    picture.save(path, quality=88)


def make(folder: Path, *, customers: int = 60, days: int = 60) -> None:
    """A trained shop in `folder`, its photos in photos/; customers c0, c4, … like mugs, c1, … teapots, and so on."""
    chance = random.Random(0)
    quick = {"width": 16, "epochs": 1, "minutes": 1, "durable": False, "threads": 1, "report_questions": 10}
    with Shop.create(folder, name="Drawn goods", currency="EUR", **quick) as shop:
        (folder / "photos").mkdir()
        products = []
        for thing, (category, brand, price) in THINGS.items():
            for place, colour in enumerate(COLOURS):
                link = "" if colour in WITHOUT_PHOTO else f"photos/{thing}-{colour}.jpg"
                if link:
                    draw(thing, colour, folder / link)
                products.append(
                    Product(
                        id=f"{thing}-{colour}",
                        title=f"{colour.capitalize()} {thing}",
                        description=f"A {colour} {thing} by {brand}, made to last.",
                        brand=brand,
                        product_type=category,
                        price=price + place,
                        currency="EUR",
                        image_link=link,
                        attributes={"color": colour},
                    )
                )
        shop.store.put_products(products)
        shop.store.import_events([_visits(chance, customers, days)])
        shop.train()


def _visits(chance: random.Random, customers: int, days: int) -> pl.DataFrame:
    colours = list(COLOURS)
    # Whole days ago, not hours: windows of learning are days, and the shop learned is then the same at any hour.
    end = now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=1)
    rows: list[tuple[str, int, str, str, str, str]] = []
    for customer in range(customers):
        thing = list(THINGS)[customer % 4]
        for visit in range(chance.randint(4, 8)):
            time = end - timedelta(days=chance.uniform(0, days))
            session = f"visit-{customer}-{visit}"
            if chance.random() < 0.4:
                rows.append(("search", to_micros(time), f"c{customer}", session, "", thing))
            for step in range(chance.randint(2, 4)):
                liked = thing if step % 2 == 0 else COMPANION[thing]
                product = f"{liked}-{colours[min(int(chance.expovariate(0.35)), 9)]}"
                kinds = ["view_item"] if step else ["view_item", "add_to_cart", "purchase"]
                for kind in kinds:
                    time += timedelta(seconds=chance.randint(5, 60))
                    rows.append((kind, to_micros(time), f"c{customer}", session, product, ""))
    frame = pl.DataFrame(rows, schema=["type", "time", "customer", "session", "product", "query"], orient="row")
    given = {
        "id": pl.format("e{}", pl.int_range(pl.len())),
        "quantity": pl.lit(1.0),
        "price": pl.lit(None),
        "value": pl.lit(None),
        "request_id": pl.lit(""),
    }
    return frame.select(given.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in EVENT_COLUMNS.items())


if __name__ == "__main__":
    make(Path(sys.argv[1]))
