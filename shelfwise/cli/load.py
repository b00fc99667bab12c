"""The commands that load products, events and public data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, open_shop, out, print_json, progress_bar
from shelfwise.errors import InvalidRequest

load = typer.Typer(help="Load products or events from a file.", no_args_is_help=True)

Mapping = Annotated[
    list[str] | None,
    typer.Option("--map", "-m", metavar="FIELD=COLUMN", help="Which column of the file is which field; repeatable."),
]
Encoding = Annotated[
    str | None,
    typer.Option(help="The file's encoding (gb18030, big5, windows-1252, …) where it is told wrong; see the report."),
]


def mapping_of(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    columns = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals:
            raise InvalidRequest("--map", f"{pair!r} is not FIELD=COLUMN, for example customer=user_id")
        columns[field] = column
    return columns


@load.command("products")
def load_products(
    file: Annotated[
        Path, typer.Argument(help="Google Merchant CSV/TSV/XML, Shopify CSV, JSON Lines, Parquet; .gz too.")
    ],
    shop: ShopFolder = HERE,
    mapping: Mapping = None,
    format: Annotated[str | None, typer.Option(help="Name the format when it is guessed wrong.")] = None,
    encoding: Encoding = None,
    images: Annotated[Path | None, typer.Option(help="Folder the image links are relative to.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The file is the whole catalogue: what it lacks is shown no longer.")
    ] = False,
    retire_most: Annotated[
        float | None, typer.Option(help="The largest share that --full may retire.", show_default="the setting, 0.2")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load a product feed. Bad rows are reported with their line; a file that cannot be read changes nothing.

    Exports of Shopify, WooCommerce, Magento, PrestaShop, Shopware and Amazon are recognised by their headings. What is
    a draft, archived, hidden or unpublished is kept and never shown; another column says so with --map status=COLUMN,
    or --map "status=COLUMN|shown:live,ok". Columns that the file does not have keep their values, so an hourly file of
    prices and stock is fine. See docs/feeds.md.
    """
    with open_shop(shop) as opened, progress_bar("Products") as progress:
        report = opened.load_products(
            file,
            mapping=mapping_of(mapping),
            format=format,
            encoding=encoding,
            images=images,
            full=full,
            retire_most=retire_most,
            progress=progress,
        )
    show_quality(report, as_json)


@load.command("restore")
def restore_products(shop: ShopFolder = HERE) -> None:
    """Show again what the last `load products --full` retired."""
    with open_shop(shop) as opened:
        restored = opened.restore_products()
    out.print(f"{restored:,} products are shown again", highlight=False)


@load.command("events")
def load_events(
    file: Annotated[Path, typer.Argument(help="GA4 BigQuery export, CSV, JSON Lines or Parquet; .gz too.")],
    shop: ShopFolder = HERE,
    mapping: Mapping = None,
    format: Annotated[str | None, typer.Option(help="Name the format when it is guessed wrong.")] = None,
    encoding: Encoding = None,
    columns: Annotated[
        str,
        typer.Option(
            metavar="FIELD,FIELD,…",
            help="The fields of a table without headings, in order, - for none: customer,product,-,type,time",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Load an event log: who did what with which product, when. Loading a file twice adds nothing.

    Orders and lists of products in one record become one event each. Dates are read as the whole column leaves no
    doubt; where it does, say how they are written: --map "time=order_date|%d/%m/%Y %H:%M" (day first), or
    "time=order_date|%m/%d/%Y %I:%M %p" (month first, AM and PM). Negative quantities and cancelled orders are
    refunds. See docs/events.md.
    """
    with open_shop(shop) as opened, progress_bar("Events") as progress:
        report = opened.load_events(
            file,
            mapping=mapping_of(mapping),
            format=format,
            encoding=encoding,
            columns=[name.strip() for name in columns.split(",")] if columns else (),
            progress=progress,
        )
    show_quality(report, as_json)


@load.command("dataset")
def load_dataset(
    name: Annotated[str, typer.Argument(help="complete_journey (bundled package) or online_retail (with --file).")],
    shop: ShopFolder = HERE,
    file: Annotated[Path | None, typer.Option(help="The data's file, where it does not come with a package.")] = None,
    as_json: AsJson = False,
) -> None:
    """Load public data as a ready shop."""
    with open_shop(shop) as opened, progress_bar(name) as progress:
        report = opened.load_dataset(name, file=file, progress=progress)
    show_quality(report, as_json)


#: Facts of a load that a person should see at once.
_SAID = (
    *("format", "encoding", "between fields", "line ends", "update", "retired"),
    *("dates", "type of every row", "lists"),
)


def show_quality(report: Any, as_json: bool) -> None:
    if as_json:
        print_json(report.to_json())
        return
    out.print(f"[bold]{_summary(report)}[/]")
    facts = [f"{name}: {report.facts[name]}" for name in _SAID if report.facts.get(name)]
    if facts:
        out.print("; ".join(facts), markup=False, highlight=False)
    show_issues(report.issues)
    for load in report.loads:
        out.print(f"\nLoaded: {load.source}: {_summary(load)}", markup=False, highlight=False)
        show_issues(load.issues, most=5)


def _summary(report: Any) -> str:
    parts = ["read", "kept", "hidden", "joined", "dropped", "flagged"]
    seldom = ("hidden", "joined")
    return ", ".join(f"{count:,} {part}" for part in parts if (count := getattr(report, part)) or part not in seldom)


def show_issues(issues: Any, most: int = 12) -> None:
    """One screen at most: of each kind its cause, which names the option that mends it, and values with their lines."""
    if not issues:
        return
    table = Table("what", "rows", "outcome", "why", "for example", box=None, header_style="bold")
    for issue in issues[:most]:
        shown = "; ".join(f"line {line}: {text}" if line else str(text) for line, text in issue.examples[:3])
        table.add_row(issue.kind, f"{issue.count:,}", issue.outcome, Text(issue.explanation), Text(shown[:100]))
    out.print(table)
    if len(issues) > most:
        out.print(f"{len(issues) - most} more in reports/ (quality.md)", highlight=False)
