"""The commands of the console's accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, open_shop, out, print_json

if TYPE_CHECKING:
    from shelfwise.shop import Shop

accounts = typer.Typer(help="Who may see the console: list, remove, a link to choose a password.", no_args_is_help=True)


@accounts.command("link")
def make_link(
    name: Annotated[str, typer.Argument(help="Whose password to set anew; left out for a new account.")] = "",
    shop: ShopFolder = HERE,
) -> None:
    """Print a link, good once, that lets whoever opens it choose a password."""
    with open_shop(shop) as opened:
        settings = opened.settings
        out.print(
            link_to(opened, f"http://{settings.host}:{settings.port}{settings.root_path}", name),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@accounts.command("list")
def list_accounts(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every account and since when it is there."""
    from shelfwise.trust.accounts import Accounts

    with open_shop(shop) as opened:
        rows = Accounts(opened.store.accounts).list()
    if as_json:
        print_json([{"name": account.name, "created": account.created.isoformat()} for account in rows])
        return
    for account in rows:
        out.print(f"{account.name}: since {account.created:%Y-%m-%d}", highlight=False, markup=False)
    if not rows:
        out.print("Nobody yet: `shelfwise accounts link` makes the first.", markup=False)


@accounts.command("remove")
def remove_account(name: str, shop: ShopFolder = HERE) -> None:
    """Take an account away and end its sessions at once."""
    from shelfwise.trust.accounts import Accounts

    with open_shop(shop) as opened:
        Accounts(opened.store.accounts).remove(name)
    out.print(f"Removed: {name}", markup=False)


def link_to(shop: Shop, url: str, name: str = "", *, beside: bool = False) -> str:
    """A one-time link to the console of the server at `url`. beside: links made before stay good."""
    from shelfwise.trust.accounts import Accounts

    return f"{url}/console/link/{Accounts(shop.store.accounts).make_link(name, beside=beside)}"


def first_link(shop: Shop, url: str) -> str:
    """A link to make the first account, "" once there is one."""
    from shelfwise.trust.accounts import Accounts

    return "" if Accounts(shop.store.accounts).exist() else link_to(shop, url, beside=True)
