"""The command line: one command per verb of Shop. Every command takes --json where a machine may read it."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import shelfwise
from shelfwise.engine.request import Filters
from shelfwise.engine.search.request import SORTS, SearchAnswer, SearchFilters
from shelfwise.errors import InvalidRequest, ShelfwiseError, UnreadableFile
from shelfwise.model.recommender import Progress as Callback
from shelfwise.schema import Rule, RuleAction, Synonym
from shelfwise.shop import Shop

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
benchmark = typer.Typer(help="Measure on public data, beside baselines.", no_args_is_help=True)
rules = typer.Typer(help="Pin, boost, bury or hide products for a query or a category.", no_args_is_help=True)
synonyms = typer.Typer(help="Words that search takes for each other.", no_args_is_help=True)
audit = typer.Typer(help="Who changed rules and synonyms; taking a change back.", no_args_is_help=True)
app.add_typer(load, name="load")
app.add_typer(bundles, name="bundles")
app.add_typer(keys, name="keys")
app.add_typer(rules, name="rules")
app.add_typer(synonyms, name="synonyms")
app.add_typer(audit, name="audit")
app.add_typer(benchmark, name="benchmark")

out = Console()
err = Console(stderr=True)

ShopFolder = Annotated[
    Path, typer.Option("--shop", envvar="SHELFWISE_SHOP", help="The shop's folder.", show_default="the current folder")
]
HERE = Path()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
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


@contextmanager
def progress_bar(title: str) -> Iterator[Callback]:
    """A live bar on a terminal; elsewhere one line when the status changes stage, to standard error."""
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bars:
        task = bars.add_task(title, total=None, status="")
        last = ""

        def show(done: int, total: int, status: str) -> None:
            nonlocal last
            bars.update(task, completed=done, total=total or None, status=status)
            stage = status.split(":", 1)[0]
            if not err.is_terminal and stage != last:
                last = stage
                err.print(f"{title}: {status}", highlight=False, markup=False, soft_wrap=True)

        yield show


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


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


def day(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(option, f"{text!r} is not a date like 2017-12-01") from None


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
    if not report.issues:
        return
    table = Table("what", "rows", "for example", box=None, header_style="bold")
    for issue in report.issues:
        shown = "; ".join(f"{line}: {text}" if line else str(text) for line, text in issue.examples[:2])
        table.add_row(issue.kind, f"{issue.count:,}", shown[:100])
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
def evaluate(
    shop: ShopFolder = HERE,
    only: Annotated[list[str] | None, typer.Option(help="Only these models; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure honestly: split by time, rank the whole catalogue, every baseline beside, 95% intervals."""
    with Shop(shop) as opened, progress_bar("Evaluating") as progress:
        result, folder = opened.evaluate(only=only, progress=progress)
    if as_json:
        print_json(result.to_json())
        return
    show_rows([row.to_json() for row in result.rows])
    out.print(f"Report: {folder / 'report.html'}")


def show_rows(rows: list[dict[str, Any]]) -> None:
    """Rows of figures as a table; the best of each measure in bold."""
    names = [name for name in rows[0] if name != "name" and isinstance(rows[0][name], int | float)]
    table = Table("", *names, box=None, header_style="bold")
    for row in rows:
        cells = []
        for name in names:
            value = row.get(name)
            if value is None:
                cells.append("–")
                continue
            text = f"{value:.1f}" if name.endswith("seconds") else f"{value:.4f}"
            best = max(other[name] for other in rows if other.get(name) is not None)
            cells.append(f"[bold]{text}[/]" if value == best and not name.endswith("seconds") else text)
        table.add_row(str(row["name"]), *cells)
    out.print(table)


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
def similar(
    product: Annotated[str, typer.Argument(help="A product's id.")],
    k: Annotated[int, typer.Option("-k", help="How many.")] = 12,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Products like this one, or that go with it."""
    with Shop(shop) as opened:
        show_answer(opened, opened.similar(product, k=k), as_json)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What a shopper would type; nothing to browse.")] = "",
    customer: Annotated[str, typer.Option(help="Who asks: their taste changes the order.")] = "",
    session: Annotated[str, typer.Option(help="The visit, for somebody who has not signed in.")] = "",
    category: Annotated[list[str] | None, typer.Option(help="Only this category; repeatable.")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="Only this brand; repeatable.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="Only this value, NAME=VALUE; repeatable.", metavar="NAME=VALUE")
    ] = None,
    price_min: Annotated[float | None, typer.Option(help="At this price or above.")] = None,
    price_max: Annotated[float | None, typer.Option(help="At this price or below.")] = None,
    sort: Annotated[str, typer.Option(help=f"One of {', '.join(SORTS)}.")] = "relevance",
    facet: Annotated[
        list[str] | None, typer.Option(help="Count its values: brand, category, price or an attribute; repeatable.")
    ] = None,
    undo: Annotated[list[str] | None, typer.Option(help="A chip's id, not to be applied; repeatable.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    after: Annotated[str, typer.Option(help="Go on after this page: its `after` in --json.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show each part of each product's score.")] = False,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Search as a shopper would: typos, Chinese, prices and colours in words. Needs no training."""
    filters = SearchFilters(
        categories=tuple(category or ()),
        brands=tuple(brand or ()),
        price_min=price_min,
        price_max=price_max,
        attributes=attributes_of(attribute),
    )
    with Shop(shop) as opened:
        answer = opened.search(
            query,
            customer=customer,
            session=session,
            filters=filters,
            sort=sort,
            facets=tuple(facet or ()),
            undo=tuple(undo or ()),
            k=k,
            after=after,
            explain=explain,
        )
        if as_json:
            print_json(answer.to_json())
            return
        show_found(opened, answer, explain)


def attributes_of(pairs: list[str] | None) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidRequest("--attribute", f"{pair!r} is not NAME=VALUE, for example color=red")
        found[name] = (*found.get(name, ()), value)
    return found


def show_found(shop: Shop, answer: SearchAnswer, explain: bool) -> None:
    """What was understood, the products with what met the query in bold, the facets."""
    if answer.corrected:
        out.print(f"Looked for [bold]{escape(answer.corrected)}[/] instead of {escape(answer.query)}", highlight=False)
    if answer.did_you_mean:
        out.print(f"Did you mean [bold]{escape(answer.did_you_mean)}[/]?", highlight=False)
    if answer.reading:
        chips = "  ".join(
            f"[reverse] {escape(chip.label or chip.text)} [/] {escape(chip.id)}" for chip in answer.reading
        )
        out.print(f"Understood: {chips}  (--undo takes one back)", highlight=False)
    if answer.relaxed:
        out.print(f"Nothing has it all; given up: {escape(', '.join(answer.relaxed))}", highlight=False)
    table = Table("product", "title", "price", "why", "score", box=None, header_style="bold")
    if explain:
        table.add_column("parts")
    for hit in answer.items:
        product = shop.store.product(hit.product)
        title = Text(hit.title or hit.product)
        for start, end in hit.highlights.get("title", ()):
            title.stylize("bold green", start, end)
        title.truncate(70, overflow="ellipsis")
        price = "" if product is None or product.price is None else f"{product.price:,.2f} {product.currency}".strip()
        more = f" (+{len(hit.variants)} variants)" if hit.variants else ""
        cells = [Text(hit.product), title, Text(price), Text((hit.reason or ", ".join(hit.sources)) + more)]
        cells.append(Text(f"{hit.score:.3f}"))
        if explain:
            cells.append(Text("  ".join(f"{name} {value:.3f}" for name, value in hit.parts.items())))
        table.add_row(*cells)
    out.print(table)
    for facet in answer.facets:
        values = "  ".join(f"{value} ({count})" for value, count in facet.values[:8])
        span = "" if facet.low is None else f"{facet.low:,.2f} to {facet.high:,.2f}  "
        out.print(Text.assemble((f"{facet.name}: ", "bold"), span + values))
    more = "; --after shows more" if answer.after else ""
    out.print(f"[dim]{len(answer.items)} of {answer.total:,}{more}[/]", highlight=False)


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


@rules.command("list")
def list_rules(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every rule, with where and when it holds."""
    with Shop(shop) as opened:
        found = opened.store.rules()
    if as_json:
        print_json([record_json(rule) for rule in found])
        return
    table = Table("id", "action", "query", "category", "products", "from", "until", "note", box=None)
    for rule in found:
        place = f" at {rule.position}" if rule.action == RuleAction.PIN else ""
        times = ["" if time is None else f"{time:%Y-%m-%d %H:%M}" for time in (rule.start, rule.end)]
        products = ", ".join(rule.products)
        cells = (rule.id, rule.action + place, rule.query, rule.category, products[:60], *times, rule.note)
        table.add_row(*(Text(cell) for cell in cells))
    out.print(table)


@rules.command("add")
def add_rule(
    action: Annotated[RuleAction, typer.Argument(help="What to do with the products.")],
    products: Annotated[list[str], typer.Argument(help="Products' ids, in their order.")],
    query: Annotated[str, typer.Option(help="The whole query it holds for.")] = "",
    category: Annotated[str, typer.Option(help="The category path within which it holds.")] = "",
    position: Annotated[int, typer.Option(help="pin: place of the first product, from 1.")] = 1,
    amount: Annotated[float, typer.Option(help="boost, bury: how far, in parts of the answer's span.")] = 0.5,
    start: Annotated[str | None, typer.Option(help="Holds from this date or time (UTC) on.")] = None,
    end: Annotated[str | None, typer.Option(help="Holds until before this date or time (UTC).")] = None,
    note: Annotated[str, typer.Option(help="For people.")] = "",
    id: Annotated[str, typer.Option(help="The rule's id; an existing rule is replaced.")] = "",
    shop: ShopFolder = HERE,
) -> None:
    """Add a rule; running servers follow within a second. Example: rules add pin A-1 A-2 --query tea"""
    rule = Rule(
        action=action,
        products=tuple(products),
        id=id,
        query=query,
        category=category,
        position=position,
        amount=amount,
        start=day(start, "--start"),
        end=day(end, "--end"),
        note=note,
    )
    with Shop(shop) as opened:
        for product in rule.products:
            opened.title(product)
        opened.store.put_rules([rule], person())
    out.print(f"Added: {rule.id}", markup=False)


@rules.command("remove")
def remove_rule(id: str, shop: ShopFolder = HERE) -> None:
    """Take a rule away; `audit undo` brings it back."""
    with Shop(shop) as opened:
        if not opened.store.delete_rule(id, person()):
            raise InvalidRequest("id", f"no rule has the id {id!r}; `shelfwise rules list` shows them")
    out.print(f"Removed: {id}", markup=False)


@synonyms.command("list")
def list_synonyms(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every line of synonyms."""
    with Shop(shop) as opened:
        found = opened.store.synonyms()
    if as_json:
        print_json([{"id": one.id, "terms": one.terms, "means": one.means} for one in found])
        return
    for one in found:
        out.print(f"{one.id}  {one}", markup=False, highlight=False)


@synonyms.command("add")
def add_synonyms(
    lines: Annotated[list[str] | None, typer.Argument(help='"sofa, couch", or one way: "phone => smartphone".')] = None,
    file: Annotated[Path | None, typer.Option(help="A file of such lines; # begins a comment.")] = None,
    shop: ShopFolder = HERE,
) -> None:
    """Add synonyms; running servers follow within a second."""
    given = list(lines or ())
    if file is not None:
        try:
            given += file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableFile(file, str(error)) from None
    texts = [text for line in given if (text := line.partition("#")[0].strip())]
    if not texts:
        raise InvalidRequest("lines", 'give a line, for example "sofa, couch", or --file')
    with Shop(shop) as opened:
        opened.store.put_synonyms([Synonym.parse(text) for text in texts], person())
    out.print(f"Added: {len(texts)}")


@synonyms.command("remove")
def remove_synonyms(id: str, shop: ShopFolder = HERE) -> None:
    """Take a line of synonyms away; `audit undo` brings it back."""
    with Shop(shop) as opened:
        if not opened.store.delete_synonym(id, person()):
            raise InvalidRequest("id", f"no synonyms have the id {id!r}; `shelfwise synonyms list` shows them")
    out.print(f"Removed: {id}", markup=False)


@audit.command("list")
def list_audit(
    n: Annotated[int, typer.Option("-n", help="How many, the newest first.", min=1, max=10_000)] = 20,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Who changed which rule or synonym, and when."""
    with Shop(shop) as opened:
        found = opened.store.audit(n)
    if as_json:
        print_json([record_json(change) for change in found])
        return
    table = Table("number", "time", "who", "what", "before", "after", box=None)
    for change in found:
        texts = (change.who, f"{change.kind} {change.id}", change.before[:60], change.after[:60])
        table.add_row(str(change.number), f"{change.time:%Y-%m-%d %H:%M:%S}", *(Text(text) for text in texts))
    out.print(table)


@audit.command("undo")
def undo_change(number: int, shop: ShopFolder = HERE) -> None:
    """Put back what was before a change."""
    with Shop(shop) as opened:
        made = opened.store.undo(number, person())
    out.print(f"Undone by change {made.number}")


def record_json(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def person() -> str:
    """Who uses the command line, for the audit."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "command line"


@app.command()
def demo(
    shop: Annotated[Path, typer.Option("--shop", help="The demo's folder; made when absent.")] = Path("demo"),
    answer_only: Annotated[bool, typer.Option("--no-serve", help="Set up and show an answer, then end.")] = False,
) -> None:
    """A real grocer's year: load it, learn from it, answer, and watch one event change the next answer."""
    from shelfwise.demo import prepare, show

    prepare(shop, progress_bar, err)
    show(shop, out)
    if not answer_only:
        serve(shop=shop, host=None, port=None, workers=None)


@benchmark.command("sequences")
def benchmark_sequences(
    file: Annotated[Path, typer.Argument(help='"user item" lines in time order, plain or .gz.')],
    network: Annotated[str | None, typer.Option(help="lstm, gru or transformer.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Fit again with the validation items before testing.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only these rows; repeatable.")] = None,
    minutes: Annotated[float, typer.Option(help="Most minutes of training the network; 0 is no limit.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Next-item prediction: last item is the test, the one before it validation, whole catalogue ranked."""
    from shelfwise.learn.sequences_benchmark import sequences

    with progress_bar("Sequences") as progress:
        result = sequences(file, network=network, refit=refit, only=only, minutes=minutes, progress=progress)
    show_benchmark(result, as_json)


@benchmark.command("next-period")
def benchmark_next_period(
    cutoff: Annotated[str, typer.Option(help="Learn before this date, for example 2017-12-01.")],
    days: Annotated[int, typer.Option(help="Length of the window after it.", min=1, max=3650)],
    shop: ShopFolder = HERE,
    only: Annotated[list[str] | None, typer.Option(help="Only these rows; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """What customers buy in the next days: top 12 against the truth, everything and products new to them."""
    when = day(cutoff, "--cutoff")
    assert when is not None
    with Shop(shop) as opened, progress_bar("Next period") as progress:
        result = opened.next_period(when, days, only=only, progress=progress)
    show_benchmark(result, as_json)


def show_benchmark(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    show_rows(result["rows"])
    facts = ", ".join(
        f"{name} {value}" for name, value in result.items() if isinstance(value, str | int | float | bool)
    )
    out.print(f"[dim]{facts}[/]")


if __name__ == "__main__":
    main()
