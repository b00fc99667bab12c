"""The command line: one command per verb of Shop. Every command takes --json where a machine may read it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

import shelfwise
from shelfwise.cli_accounts import accounts, first_link
from shelfwise.cli_measure import benchmark, evaluate
from shelfwise.cli_search import audit, rules, search, synonyms
from shelfwise.engine.request import Filters
from shelfwise.errors import InvalidRequest, ShelfwiseError
from shelfwise.shop import Shop
from shelfwise.terminal import HERE, AsJson, ShopFolder, err, out, print_json, progress_bar

app = typer.Typer(
    name="shelfwise",
    help="Search and recommendations learned from a shop's own behaviour, photos and texts.\n\n"
    "A shop is one folder. The way of the data: init → load products → load events → check → train → serve.\n\n"
    "See it at once, on a real retailer's year: shelfwise demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
load = typer.Typer(help="Load products or events from a file.", no_args_is_help=True)
bundles = typer.Typer(help="What was learned: list the bundles, use one, roll back.", no_args_is_help=True)
keys = typer.Typer(help="Keys of the HTTP API: create, list, revoke.", no_args_is_help=True)
app.add_typer(load, name="load")
app.add_typer(bundles, name="bundles")
app.add_typer(keys, name="keys")
app.add_typer(accounts, name="accounts")
app.add_typer(rules, name="rules")
app.add_typer(synonyms, name="synonyms")
app.add_typer(audit, name="audit")
app.command()(search)
app.command()(evaluate)
app.add_typer(benchmark, name="benchmark")

Mapping = Annotated[
    list[str] | None,
    typer.Option("--map", "-m", metavar="FIELD=COLUMN", help="Which column of the file is which field; repeatable."),
]


def main() -> None:
    """Entry point: an error made on purpose is one line and exit code 1, never a traceback."""
    try:
        app()
    except ShelfwiseError as error:
        err.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def mapping_of(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    found = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals:
            raise InvalidRequest("--map", f"{pair!r} is not FIELD=COLUMN, for example customer=user_id")
        found[field] = column
    return found


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        out.print(f"shelfwise {shelfwise.__version__}", highlight=False)
        raise typer.Exit


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="A new or empty folder.")] = HERE) -> None:
    """Make a shop: a folder with shelfwise.toml (every setting, explained) and an empty record."""
    with Shop.create(folder) as shop:
        out.print(f"Made the shop [bold]{shop.folder}[/]. Next: shelfwise load products FILE --shop {folder}")


@load.command("products")
def load_products(
    file: Annotated[
        Path, typer.Argument(help="Google Merchant CSV/TSV/XML, Shopify CSV, JSON Lines, Parquet; .gz too.")
    ],
    shop: ShopFolder = HERE,
    mapping: Mapping = None,
    format: Annotated[str | None, typer.Option(help="Name the format when it is guessed wrong.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder the image links are relative to.")] = None,
    as_json: AsJson = False,
) -> None:
    """Load a product feed. Bad rows are reported with their line; a file that cannot be read changes nothing."""
    with Shop(shop) as opened, progress_bar("Products") as progress:
        report = opened.load_products(
            file, mapping=mapping_of(mapping), format=format, images=images, progress=progress
        )
    show_quality(report, as_json)


@load.command("events")
def load_events(
    file: Annotated[Path, typer.Argument(help="GA4 BigQuery export, CSV, JSON Lines or Parquet; .gz too.")],
    shop: ShopFolder = HERE,
    mapping: Mapping = None,
    format: Annotated[str | None, typer.Option(help="Name the format when it is guessed wrong.")] = None,
    as_json: AsJson = False,
) -> None:
    """Load an event log: who did what with which product, when. Loading a file twice adds nothing."""
    with Shop(shop) as opened, progress_bar("Events") as progress:
        report = opened.load_events(file, mapping=mapping_of(mapping), format=format, progress=progress)
    show_quality(report, as_json)


@load.command("dataset")
def load_dataset(
    name: Annotated[str, typer.Argument(help="complete_journey (bundled package) or online_retail (with --file).")],
    shop: ShopFolder = HERE,
    file: Annotated[Path | None, typer.Option(help="The data's file, where it does not come with a package.")] = None,
    as_json: AsJson = False,
) -> None:
    """Load public data as a ready shop."""
    with Shop(shop) as opened, progress_bar(name) as progress:
        report = opened.load_dataset(name, file=file, progress=progress)
    show_quality(report, as_json)


def show_quality(report: Any, as_json: bool) -> None:
    if as_json:
        print_json(report.to_json())
        return
    summary = ", ".join(f"{getattr(report, part):,} {part}" for part in ("read", "kept", "dropped", "flagged"))
    out.print(f"[bold]{summary}[/]")
    show_issues(report.issues)
    for load in report.loads:
        summary = ", ".join(f"{getattr(load, part):,} {part}" for part in ("read", "kept", "dropped", "flagged"))
        out.print(f"\nLoaded: {load.source}: {summary}", markup=False, highlight=False)
        show_issues(load.issues)


def show_issues(issues: Any) -> None:
    if not issues:
        return
    table = Table("what", "rows", "outcome", "for example", box=None, header_style="bold")
    for issue in issues:
        shown = "; ".join(f"{line}: {text}" if line else str(text) for line, text in issue.examples[:2])
        table.add_row(issue.kind, f"{issue.count:,}", issue.outcome, Text(shown[:100]))
    out.print(table)


@app.command()
def check(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Check the record's quality; prints the report and writes reports/quality.md and quality.json."""
    with Shop(shop) as opened, progress_bar("Checking"):
        report = opened.check()
    show_quality(report, as_json)


@app.command()
def train(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Learn from the record and put the new bundle to use. An interrupted run goes on where it stopped."""
    with Shop(shop) as opened, progress_bar("Training") as progress:
        version = opened.train(progress=progress)
        metrics = opened.bundle().metrics
    if as_json:
        print_json({"bundle": version, "metrics": metrics})
        return
    out.print(f"Learned and in use: bundle [bold]{version}[/]. Report: {shop / 'reports' / version / 'report.html'}")


@app.command()
def recommend(
    customer: Annotated[str, typer.Option(help="A customer's id.")] = "",
    session: Annotated[str, typer.Option(help="A session's id, for somebody who has not signed in.")] = "",
    surface: Annotated[str, typer.Option(help="home, product, cart or category.")] = "home",
    seed: Annotated[list[str] | None, typer.Option(help="Product on the screen or in the cart; repeatable.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only this category; repeatable.")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="Only this brand; repeatable.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Leave out what the customer has bought.")] = False,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 12,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """What to show a customer now, each product with its sources and its reason."""
    with Shop(shop) as opened:
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


@app.command()
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
    with Shop(shop) as opened, progress_bar("Lists") as progress:
        made = opened.lists(
            file, k=k, exclude_purchased=new, customers=customers, on=on, processes=processes, progress=progress
        )
    if as_json:
        print_json({"lists": made, "file": str(file)})
    else:
        out.print(f"{made:,} lists in {file}", highlight=False)


@app.command()
def similar(
    product: Annotated[str, typer.Argument(help="A product's id.")],
    k: Annotated[int, typer.Option("-k", help="How many.")] = 12,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Products like this one, or that go with it."""
    with Shop(shop) as opened:
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


@app.command()
def serve(
    shop: ShopFolder = HERE,
    host: Annotated[str | None, typer.Option(help="Address; anything but loopback needs keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port.", min=1, max=65535)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes over the one record.", min=1)] = None,
) -> None:
    """Answer over HTTP: events in, recommendations out. The routes are listed at /docs."""
    from shelfwise.serve.server import serve as run

    def listening(_done: int, _total: int, url: str) -> None:
        err.print(f"Listening on {url}; its routes: {url}/docs. Stop with Ctrl-C.", highlight=False, soft_wrap=True)
        with Shop(shop) as opened:
            link = first_link(opened, url)
        said = (
            f"The console: {link} (good once: choose a name and a password)" if link else f"The console: {url}/console"
        )
        err.print(said, highlight=False, markup=False, soft_wrap=True)

    run(shop, host, port, workers, listening)


@bundles.command("list")
def list_bundles(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every bundle, newest first; the one in use is marked."""
    with Shop(shop) as opened:
        found = opened.bundles()
    if as_json:
        print_json(found)
        return
    table = Table("", "bundle", "created", "metrics", box=None, header_style="bold")
    for entry in found:
        metrics = ", ".join(f"{k} {v:.4f}" for k, v in entry["metrics"].items() if isinstance(v, float))
        table.add_row("●" if entry["current"] else "", entry["version"], str(entry["created"]), metrics[:100])
    out.print(table)


@bundles.command("use")
def use_bundle(version: str, shop: ShopFolder = HERE) -> None:
    """Put this bundle to use, in running servers too."""
    with Shop(shop) as opened:
        opened.use_bundle(version)
    out.print(f"In use: {version}")


@bundles.command("rollback")
def rollback(shop: ShopFolder = HERE) -> None:
    """Back to the bundle used before this one."""
    with Shop(shop) as opened:
        out.print(f"In use: {opened.rollback()}")


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help="read, ingest or admin; repeatable.")],
    shop: ShopFolder = HERE,
) -> None:
    """Make a key and show it, once: only its hash is kept."""
    with Shop(shop) as opened:
        out.print(opened.keys.create(name, scope), highlight=False, markup=False)


@keys.command("list")
def list_keys(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every key's name and scopes."""
    with Shop(shop) as opened:
        found = [{"name": key.name, "scopes": sorted(key.scopes)} for key in opened.keys.list()]
    if as_json:
        print_json(found)
    else:
        for key in found:
            out.print(f"{key['name']}: {', '.join(key['scopes'])}")


@keys.command("revoke")
def revoke_key(name: str, shop: ShopFolder = HERE) -> None:
    """Take a key's rights away."""
    with Shop(shop) as opened:
        opened.keys.revoke(name)
    out.print(f"Revoked: {name}")


@app.command()
def demo(
    shop: Annotated[
        Path | None,
        typer.Option("--shop", help="The demo's folder; made when absent.", show_default="demo, or demo-vendure"),
    ] = None,
    data: Annotated[
        Literal["grocer", "vendure"],
        typer.Option(help="grocer: a real retailer's year. vendure: products with photos, simulated shoppers."),
    ] = "grocer",
    answer_only: Annotated[bool, typer.Option("--no-serve", help="Set up and show an answer, then end.")] = False,
) -> None:
    """A ready shop: load it, learn from it, answer, and watch one event change the next answer."""
    from shelfwise.demo import prepare, show

    shop = shop or Path("demo" if data == "grocer" else "demo-vendure")
    prepare(shop, progress_bar, err, data)
    show(shop, out)
    if not answer_only:
        serve(shop=shop, host=None, port=None, workers=None)


if __name__ == "__main__":
    main()
