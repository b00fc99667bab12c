"""The commands of search: the search itself, and what merchants steer it with."""

from __future__ import annotations

import dataclasses
import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, day, open_shop, out, print_json
from shelfwise.errors import InvalidRequest, UnreadableFile

if TYPE_CHECKING:
    from shelfwise.search.request import SearchAnswer
    from shelfwise.shop import Shop

rules = typer.Typer(help="Pin, boost, bury or hide products for a query or a category.", no_args_is_help=True)
synonyms = typer.Typer(help="Words that search takes for each other.", no_args_is_help=True)
audit = typer.Typer(help="Who changed rules and synonyms; taking a change back.", no_args_is_help=True)


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
    sort: Annotated[str, typer.Option(help="One of relevance, price, price_desc, newest, best_selling.")] = "relevance",
    facet: Annotated[
        list[str] | None, typer.Option(help="Count its values: brand, category, price or an attribute; repeatable.")
    ] = None,
    undo: Annotated[
        list[str] | None,
        typer.Option(help="A chip's id, not to be applied; spelling takes the query as typed; repeatable."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    after: Annotated[str, typer.Option(help="Go on after this page: its `after` in --json.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show each part of each product's score.")] = False,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Search as a shopper would: typos, Chinese, prices and colours in words. Needs no training."""
    from shelfwise.catalogue.filters import SearchFilters

    filters = SearchFilters(
        categories=tuple(category or ()),
        brands=tuple(brand or ()),
        price_min=price_min,
        price_max=price_max,
        attributes=attributes_of(attribute),
    )
    with open_shop(shop) as opened:
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
    attributes: dict[str, tuple[str, ...]] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidRequest("--attribute", f"{pair!r} is not NAME=VALUE, for example color=red")
        attributes[name] = (*attributes.get(name, ()), value)
    return attributes


def show_found(shop: Shop, answer: SearchAnswer, explain: bool) -> None:
    """What was understood, the products with what met the query in bold, the facets."""
    if answer.corrected:
        undo = "(--undo spelling takes it as typed)"
        mended = f"Looked for [bold]{escape(answer.corrected)}[/] instead of {escape(answer.query)} {undo}"
        out.print(mended, highlight=False)
    if answer.did_you_mean:
        out.print(f"Did you mean [bold]{escape(answer.did_you_mean)}[/]?", highlight=False)
    if answer.reading:
        chips = "  ".join(
            f"[reverse] {escape(chip.label or chip.text)} [/] {escape(chip.id)}" for chip in answer.reading
        )
        out.print(f"Understood: {chips}  (--undo takes one back)", highlight=False)
    if why := nothing_has(answer):
        out.print(why, highlight=False, markup=False)
    table = Table("product", "title", "price", "why", "score", box=None, header_style="bold")
    if explain:
        table.add_column("parts")
    products = shop.offers.products(hit.product for hit in answer.items)
    for hit in answer.items:
        product = products.get(hit.product)
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


def nothing_has(answer: SearchAnswer) -> str:
    """Why what follows is not, or is nothing of, what was looked for; "" where it is."""
    if "stock" in answer.relaxed:
        return f"{answer.query!r} is not in stock: it comes first, then others."
    if "popular" in answer.relaxed:
        return f"Nothing matches {answer.query!r}; these are others."
    if answer.relaxed:
        chips = [chip for chip in answer.reading if chip.effect == "filter"]
        limits = ", ".join(chip.label or chip.text for chip in chips)
        limits = limits if all(chip.kind == "price" for chip in chips) else f"within {limits}"
        gone = [limits] if "filters" in answer.relaxed and chips else []
        gone += ["with all the words"] if "words" in answer.relaxed else []
        return f"Nothing {' and '.join(gone) or 'has it all'}; these come near."
    if not answer.items:
        return "Nothing is found: no product on sale matches, or the filters leave none."
    return ""


@rules.command("list")
def list_rules(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every rule, with where and when it holds."""
    with open_shop(shop) as opened:
        kept = opened.store.rules()
    if as_json:
        print_json([record_json(rule) for rule in kept])
        return
    table = Table("id", "action", "query", "category", "products", "from", "until", "note", box=None)
    for rule in kept:
        place = f" at {rule.position}" if rule.action == "pin" else ""
        times = ["" if time is None else f"{time:%Y-%m-%d %H:%M}" for time in (rule.start, rule.end)]
        products = ", ".join(rule.products)
        cells = (rule.id, rule.action + place, rule.query, rule.category, products[:60], *times, rule.note)
        table.add_row(*(Text(cell) for cell in cells))
    out.print(table)


@rules.command("add")
def add_rule(
    action: Annotated[Literal["pin", "boost", "bury", "hide"], typer.Argument(help="What to do with the products.")],
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
    from shelfwise.schema import Rule, RuleAction

    rule = Rule(
        action=RuleAction(action),
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
    with open_shop(shop) as opened:
        for product in rule.products:
            opened.title(product)
        opened.store.put_rules([rule], person())
    out.print(f"Added: {rule.id}", markup=False)


@rules.command("remove")
def remove_rule(id: str, shop: ShopFolder = HERE) -> None:
    """Take a rule away; `audit undo` brings it back."""
    with open_shop(shop) as opened:
        if not opened.store.delete_rule(id, person()):
            raise InvalidRequest("id", f"no rule has the id {id!r}; `shelfwise rules list` shows them")
    out.print(f"Removed: {id}", markup=False)


@synonyms.command("list")
def list_synonyms(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Every line of synonyms."""
    with open_shop(shop) as opened:
        kept = opened.store.synonyms()
    if as_json:
        print_json([{"id": one.id, "terms": one.terms, "means": one.means} for one in kept])
        return
    for one in kept:
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
    from shelfwise.schema import Synonym

    with open_shop(shop) as opened:
        opened.store.put_synonyms([Synonym.parse(text) for text in texts], person())
    out.print(f"Added: {len(texts)}")


@synonyms.command("remove")
def remove_synonyms(id: str, shop: ShopFolder = HERE) -> None:
    """Take a line of synonyms away; `audit undo` brings it back."""
    with open_shop(shop) as opened:
        if not opened.store.delete_synonym(id, person()):
            raise InvalidRequest("id", f"no synonyms have the id {id!r}; `shelfwise synonyms list` shows them")
    out.print(f"Removed: {id}", markup=False)


@synonyms.command("suggest")
def suggest_synonyms(
    limit: Annotated[int, typer.Option("-n", help="How many, the best founded first.", min=1, max=1_000)] = 20,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """What shoppers' behaviour proposes; accept one with `synonyms add`. Each rests on five customers or more."""
    with open_shop(shop) as opened:
        proposals = opened.suggested_synonyms(limit)
    if as_json:
        print_json(
            [
                {"synonym": str(one.synonym), "customers": one.customers, "evidence": one.evidence}
                | {"examples": one.examples}
                for one in proposals
            ]
        )
        return
    if not proposals:
        out.print("Nothing yet: proposals come from recorded searches of at least five customers.")
        return
    table = Table("synonyms", "customers", "evidence", "for example", box=None)
    for one in proposals:
        example = " / ".join(one.examples[0]) if one.examples else ""
        table.add_row(Text(str(one.synonym)), str(one.customers), one.evidence, Text(example))
    out.print(table)


@audit.command("list")
def list_audit(
    n: Annotated[int, typer.Option("-n", help="How many, the newest first.", min=1, max=10_000)] = 20,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Who changed which rule or synonym, and when."""
    with open_shop(shop) as opened:
        changes = opened.store.audit(n)
    if as_json:
        print_json([record_json(change) for change in changes])
        return
    table = Table("number", "time", "who", "what", "before", "after", box=None)
    for change in changes:
        texts = (change.who, f"{change.kind} {change.id}", change.before[:60], change.after[:60])
        table.add_row(str(change.number), f"{change.time:%Y-%m-%d %H:%M:%S}", *(Text(text) for text in texts))
    out.print(table)


@audit.command("undo")
def undo_change(number: int, shop: ShopFolder = HERE) -> None:
    """Put back what was before a change."""
    with open_shop(shop) as opened:
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
