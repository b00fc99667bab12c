"""The commands that answer: recommend, lists, similar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, err, open_shop, out, print_json, progress_bar

if TYPE_CHECKING:
    from shelfwise.shop import Shop


def recommend(
    customer: Annotated[str, typer.Option(help="A customer's id.")] = "",
    session: Annotated[str, typer.Option(help="A session's id, for somebody who has not signed in.")] = "",
    surface: Annotated[str, typer.Option(help="home, product (goes with it), similar, cart or category.")] = "home",
    seed: Annotated[list[str] | None, typer.Option(help="Product on the screen or in the cart; repeatable.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only this category; repeatable.")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="Only this brand; repeatable.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Leave out what the customer has bought.")] = False,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 12,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """What to show a customer now, each product with its sources and its reason."""
    from shelfwise.catalogue.filters import Filters

    with open_shop(shop) as opened:
        answer = opened.recommend(
            customer=customer,
            session=session,
            surface=surface,
            seeds=seed or (),
            k=k,
            filters=Filters(categories=tuple(category or ()), brands=tuple(brand or ())),
            exclude_purchased=new,
        )
        show_answer(opened, answer, as_json)


def lists(
    file: Annotated[
        Path, typer.Argument(metavar="OUT", help=".jsonl, a line a customer, or .parquet, a row a product.")
    ],
    k: Annotated[int, typer.Option("-k", "--k", help="Products of each list.")] = 12,
    customers: Annotated[Path | None, typer.Option(help="Only these customers: a file with an id a line.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Leave out what each customer has bought.")] = False,
    on: Annotated[
        Literal["processes", "ray"],
        typer.Option(help="Workers on this machine, or on Ray (extra `ray`; RAY_ADDRESS names a cluster)."),
    ] = "processes",
    processes: Annotated[
        int | None,
        typer.Option(help="How many workers; by default one a core, at most 8.", min=1, max=1024, show_default=False),
    ] = None,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """What to show every customer, in one file: the answers of `recommend` for the home page, all as of one moment."""
    with open_shop(shop) as opened, progress_bar("Lists") as progress:
        made = opened.lists(
            file, k=k, exclude_purchased=new, customers=customers, on=on, processes=processes, progress=progress
        )
    if as_json:
        print_json({"lists": made, "file": str(file)})
    else:
        out.print(f"{made:,} lists in {file}", highlight=False)


def similar(
    product: Annotated[str, typer.Argument(help="A product's id.")],
    k: Annotated[int, typer.Option("-k", help="How many.")] = 12,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Products like this one, or that go with it."""
    with open_shop(shop) as opened:
        show_answer(opened, opened.similar(product, k=k), as_json)


def show_answer(shop: Shop, answer: Any, as_json: bool) -> None:
    if as_json:
        print_json(answer.to_json())
        return
    table = Table("product", "title", "reason", "score", "sources", box=None, header_style="bold")
    for item in answer.items:
        title, sources = shop.title(item.product)[:60], ", ".join(item.sources)
        table.add_row(item.product, title, item.reason, f"{item.score:.3f}", sources)
    out.print(table)
    if answer.unknown:
        err.print(f"Not in the catalogue, left out: {', '.join(answer.unknown)}", markup=False, highlight=False)
