"""The command line: one command per verb of Shop. Every command takes --json where a machine may read it."""

from __future__ import annotations

import errno
import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

import shelfwise
from shelfwise.cli.accounts import accounts, first_link
from shelfwise.cli.answers import lists, recommend, similar
from shelfwise.cli.bundles import bundles
from shelfwise.cli.campaigns import benchmark_campaigns, benchmark_uplift, campaigns
from shelfwise.cli.keys import keys
from shelfwise.cli.load import load, show_quality
from shelfwise.cli.measure import benchmark, evaluate
from shelfwise.cli.plan import benchmark_demand, benchmark_orders, forecast, load_stock, orders
from shelfwise.cli.search import audit, rules, search, synonyms
from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, err, make_shop, open_shop, out, print_json, progress_bar
from shelfwise.errors import ShelfwiseError

#: What the operating system refuses, and what to do about it.
_MEND = {
    errno.ENOSPC: "the disk is full: make room and run it again",
    errno.EDQUOT: "your share of the disk is used up: make room and run it again",
    errno.EROFS: "the disk is read-only: mount it writable, or copy the shop elsewhere",
    errno.EACCES: "check the permissions of it and its folder",
    errno.EPERM: "check the permissions of it and its folder",
    errno.EIO: "the disk fails: look at the system's log, and restore a backup to another disk",
}

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
app.add_typer(load, name="load")
app.add_typer(bundles, name="bundles")
app.add_typer(keys, name="keys")
app.add_typer(accounts, name="accounts")
app.add_typer(rules, name="rules")
app.add_typer(synonyms, name="synonyms")
app.add_typer(audit, name="audit")
app.command()(recommend)
app.command()(similar)
app.command()(lists)
app.command()(search)
app.command()(evaluate)
benchmark.command("uplift")(benchmark_uplift)
load.command("stock")(load_stock)
app.command()(forecast)
app.command()(orders)
benchmark.command("demand")(benchmark_demand)
benchmark.command("orders")(benchmark_orders)
benchmark.command("campaigns")(benchmark_campaigns)
app.add_typer(campaigns, name="campaigns")
app.add_typer(benchmark, name="benchmark")


def main() -> None:
    """Entry point: an error made on purpose is one line and exit code 1, never a traceback."""
    if sys.argv[1:] == ["--version"]:  # before anything else is built
        sys.stdout.write(f"shelfwise {shelfwise.__version__}\n")
        return
    try:
        app()
    except ShelfwiseError as error:
        _say(type(error).__name__, str(error))
        sys.exit(1)
    except MemoryError:
        _say("Memory", "there was not enough memory; end what else runs, train with a smaller width, or add memory")
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in _MEND:
            raise
        _say("Disk", f"{error.filename or 'a file'}: {error.strerror}; {_MEND[error.errno]}")
        sys.exit(1)
    finally:
        gc.freeze()  # or Python, before it ends, looks through all that was loaded: half a second of nothing


def _say(kind: str, message: str) -> None:
    err.print(f"[bold red]{kind}[/]: ", end="")
    err.print(message, markup=False, highlight=False, soft_wrap=True)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        out.print(f"shelfwise {shelfwise.__version__}", highlight=False)
        raise typer.Exit


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="A new or empty folder.")] = HERE) -> None:
    """Make a shop: a folder with shelfwise.toml (every setting, explained) and an empty record."""
    with make_shop(folder) as shop:
        out.print(f"Made the shop [bold]{shop.folder}[/]. Next: shelfwise load products FILE --shop {folder}")


@app.command()
def check(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Check the record's quality; prints the report and writes reports/quality.md and quality.json."""
    with open_shop(shop) as opened, progress_bar("Checking"):
        report = opened.check()
    show_quality(report, as_json)


@app.command()
def train(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Learn from the record and put the new bundle to use. An interrupted run goes on where it stopped."""
    with open_shop(shop) as opened, progress_bar("Training") as progress:
        version = opened.train(progress=progress)
        metrics = opened.bundle().metrics
    if as_json:
        print_json({"bundle": version, "metrics": metrics})
        return
    if "not_learned" in metrics:
        err.print(f"Not learned: {metrics['not_learned']}.", soft_wrap=True)
    out.print(f"Learned and in use: bundle [bold]{version}[/]. Report: {shop / 'reports' / version / 'report.html'}")


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
        with open_shop(shop) as opened:
            link = first_link(opened, url)
        said = (
            f"The console: {link} (good once: choose a name and a password)" if link else f"The console: {url}/console"
        )
        err.print(said, highlight=False, markup=False, soft_wrap=True)

    run(shop, host, port, workers, listening)


@app.command()
def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A new folder, best on another disk.")],
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Copy the shop whole and consistent, while it serves: record, bundles, settings, keys, reports.

    A record in PostgreSQL is not copied: pg_dump it beside. `shelfwise restore DEST FOLDER` puts a backup back.
    """
    from shelfwise.backup import backup as copy

    with progress_bar("Backup") as progress:
        manifest = copy(shop, destination, progress)
    if as_json:
        print_json(manifest)
        return
    out.print(f"Backed up to [bold]{destination}[/]: {len(manifest['files'])} files, checked.", highlight=False)
    if manifest["record"] == "elsewhere":
        out.print("The record is in PostgreSQL and not in it: back it up there, with pg_dump.", highlight=False)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="DEST", help="What `shelfwise backup` made.")],
    folder: Annotated[Path, typer.Argument(help="The shop's folder to make; new or empty.")],
    as_json: AsJson = False,
) -> None:
    """Make a shop of a backup, in a new folder, after checking every file of it."""
    from shelfwise.backup import restore as put_back

    with progress_bar("Restore") as progress:
        manifest = put_back(source, folder, progress)
    if as_json:
        print_json(manifest)
        return
    out.print(f"Restored [bold]{folder}[/] as of {manifest['created']}. Next: shelfwise serve --shop {folder}")
    if manifest["record"] == "elsewhere":
        out.print("Its record is in PostgreSQL: restore it there, with pg_restore.", highlight=False)


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
