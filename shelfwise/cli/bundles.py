"""The commands of what was learned: list the bundles, use one, roll back."""

from __future__ import annotations

import typer
from rich.table import Table

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, open_shop, out, print_json

bundles = typer.Typer(help="What was learned: list the bundles, use one, roll back.", no_args_is_help=True)


@bundles.command("list")
def list_bundles(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every bundle, newest first; the one in use is marked."""
    with open_shop(shop) as opened:
        kept = opened.bundles()
    if as_json:
        print_json(kept)
        return
    table = Table("", "bundle", "created", "metrics", box=None, header_style="bold")
    for entry in kept:
        metrics = ", ".join(f"{k} {v:.4f}" for k, v in entry["metrics"].items() if isinstance(v, float))
        table.add_row("●" if entry["current"] else "", entry["version"], str(entry["created"]), metrics[:100])
    out.print(table)


@bundles.command("use")
def use_bundle(version: str, shop: ShopFolder = HERE) -> None:
    """Put this bundle to use, in running servers too."""
    with open_shop(shop) as opened:
        opened.use_bundle(version)
    out.print(f"In use: {version}")


@bundles.command("rollback")
def rollback(shop: ShopFolder = HERE) -> None:
    """Back to the bundle used before this one."""
    with open_shop(shop) as opened:
        out.print(f"In use: {opened.rollback()}")
