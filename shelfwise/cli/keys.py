"""The commands of the HTTP API's keys."""

from __future__ import annotations

from typing import Annotated

import typer

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, open_shop, out, print_json

keys = typer.Typer(help="Keys of the HTTP API: create, list, revoke.", no_args_is_help=True)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help="read, ingest or admin; repeatable.")],
    shop: ShopFolder = HERE,
) -> None:
    """Make a key and show it, once: only its hash is kept."""
    with open_shop(shop) as opened:
        out.print(opened.keys.create(name, scope), highlight=False, markup=False)


@keys.command("list")
def list_keys(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every key's name and scopes."""
    with open_shop(shop) as opened:
        keys_of_shop = [{"name": key.name, "scopes": sorted(key.scopes)} for key in opened.keys.list()]
    if as_json:
        print_json(keys_of_shop)
    else:
        for key in keys_of_shop:
            out.print(f"{key['name']}: {', '.join(key['scopes'])}")


@keys.command("revoke")
def revoke_key(name: str, shop: ShopFolder = HERE) -> None:
    """Take a key's rights away."""
    with open_shop(shop) as opened:
        opened.keys.revoke(name)
    out.print(f"Revoked: {name}")
