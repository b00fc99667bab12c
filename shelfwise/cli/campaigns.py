"""The commands around campaigns: what an A/B test shows, who to address, what a campaign brought."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shelfwise.cli.load import Mapping, load, mapping_of
from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, day, open_shop, out, print_json, progress_bar

campaigns = typer.Typer(help="Whom to address with which offer, and what it brought.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="CSV, Parquet or JSON Lines; .gz too.")]
Margin = Annotated[float, typer.Option(help="Part of revenue that stays with the shop.", min=0, max=1)]
At = Annotated[str | None, typer.Option("--at", help="As of this date instead of now, for example 2017-11-01.")]


def benchmark_uplift(
    file: Annotated[Path, typer.Argument(help="One row a customer: CSV, Parquet or JSON Lines; .gz too.")],
    treatment: Annotated[str, typer.Option(help="Column that says what each customer was sent.")],
    outcome: Annotated[str, typer.Option(help="Column that says what came of it: 0/1, or an amount.")],
    control: Annotated[str | None, typer.Option(help="Value of --treatment that means left alone.")] = None,
    cost: Annotated[float, typer.Option(help="Of one contact, in units of the outcome.", min=0)] = 0.0,
    arm: Annotated[str | None, typer.Option(help="Only this arm beside the control, of several.")] = None,
    features: Annotated[
        list[str] | None, typer.Option(help="Just these columns describe a customer; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Not this column; repeatable.")] = None,
    splits: Annotated[int | None, typer.Option(help="Half splits; 20, or 10 of large files.", min=2, max=1000)] = None,
    as_json: AsJson = False,
) -> None:
    """Whom a contact changes: uplift learners on an A/B test, beside a response model, OLS and chance, with intervals.

    Columns that came after the contact (other outcomes, clicks) and ids are left out by themselves; the answer says
    which.
    """
    from shelfwise.plan.campaigns.experiment import experiment, read_table
    from shelfwise.plan.campaigns.uplift import uplift_benchmark

    with progress_bar("Uplift") as progress:
        test = experiment(
            read_table(file),
            treatment,
            outcome,
            control=control,
            features=_parted(features),
            exclude=_parted(exclude),
            only_arm=arm,
        )
        result = uplift_benchmark(test, cost=cost, splits=splits, progress=progress)
    if as_json:
        print_json(result)
    else:
        _show_uplift(result)


def _parted(names: list[str] | None) -> list[str]:
    return [part.strip() for name in names or () for part in name.split(",") if part.strip()]


def _show_uplift(result: dict[str, Any]) -> None:
    for warning in result["warnings"]:
        out.print(f"[yellow]Warning:[/] {warning}", highlight=False)
    out.print(f"Customers described by: {', '.join(result['columns'])}", highlight=False)
    for one in result["left_out"]:
        out.print(f"[dim]left out: {one['column']} ({one['reason']})[/]", highlight=False)
    for one in result["comparisons"]:
        effect = one["effect"]
        title = (
            f"{one['arm']} beside {one['control']}: effect {effect['value']:.4g} a customer "
            f"(95% {effect['low']:.4g} to {effect['high']:.4g}), {one['customers']:,} customers"
        )
        table = Table(
            "",
            "Qini",
            "95%",
            "uplift@10",
            "uplift@30",
            "share of effect@30",
            box=None,
            header_style="bold",
            title=title,
            title_justify="left",
        )
        for row in one["rows"]:
            name = f"chosen ({row['learner']})" if "learner" in row else row["name"]
            table.add_row(
                name,
                f"{row['qini']:.4f}",
                f"{row['low']:.4f} to {row['high']:.4f}",
                *(
                    ("–" if row[key] is None else f"{row[key]:.4f}")
                    for key in ("uplift@10", "uplift@30", "share_of_effect@30")
                ),
            )
        out.print(table)
        curve = Table("addressed", "gain a customer after cost", "95%", box=None, header_style="bold")
        for point in one["profit"]:
            curve.add_row(
                f"{point['share']:.0%}", f"{point['value']:.4g}", f"{point['low']:.4g} to {point['high']:.4g}"
            )
        out.print(curve)
        out.print(f"[bold]{one['text']}[/]", highlight=False)
    if result["policies"]:
        table = Table("policy", "outcome a customer after cost", "95%", box=None, header_style="bold")
        for row in result["policies"]["rows"]:
            table.add_row(row["name"], f"{row['value']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}")
        out.print(table)
        out.print(f"[bold]{result['policies']['text']}[/]", highlight=False)


def benchmark_campaigns(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """Who of those addressed takes part, and with which offer: learned up to each campaign's start, beside recency,
    frequency and value, and past redemptions."""
    from shelfwise.plan.campaigns.loading import history
    from shelfwise.plan.campaigns.redemptions import redemption_benchmark

    with open_shop(shop) as opened, progress_bar("Campaigns") as progress:
        progress(0, 0, "record: reading")
        result = redemption_benchmark(history(opened.store), progress)
    if as_json:
        print_json(result)
        return
    table = Table("who takes part", "AUC", "95%", box=None, header_style="bold")
    for row in result["rows"]:
        table.add_row(row["name"], f"{row['auc']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}")
    out.print(table)
    out.print(
        f"{result['lead']:+.4f} (95% {result['lead_low']:+.4f} to {result['lead_high']:+.4f}) beside "
        f"{result['best_baseline']!r}; {result['campaigns']} campaigns, {result['redeemers']} who took part"
    )
    offers = Table("which offer", "NDCG@10", box=None, header_style="bold")
    for row in result["offers"]:
        offers.add_row(row["name"], f"{row['ndcg@10']:.4f}")
    out.print(offers)


def _load(kind: str, file: Path, shop: Path, mapping: list[str] | None, as_json: bool) -> None:
    from shelfwise.plan.campaigns import loading

    with open_shop(shop) as opened, progress_bar(kind.capitalize()) as progress:
        progress(0, 0, f"{kind}: reading")
        loaded = getattr(loading, f"load_{kind}")(file, opened.store, mapping_of(mapping)).to_json()
    if as_json:
        print_json(loaded)
        return
    out.print(f"{loaded['kept']:,} of {loaded['read']:,} rows kept, {loaded['already_recorded']:,} recorded already")
    for problem in loaded["problems"]:
        lines = ", ".join(map(str, problem["lines"]))
        out.print(f"[yellow]left out[/] {problem['rows']:,} (line {lines}): {problem['why']}", highlight=False)


@load.command("campaigns")
def load_campaigns(file: File, shop: ShopFolder = HERE, mapping: Mapping = None, as_json: AsJson = False) -> None:
    """Load campaigns: campaign, start, end, and a row for each offer or product (offer, product, category,
    discount)."""
    _load("campaigns", file, shop, mapping, as_json)


@load.command("contacts")
def load_contacts(file: File, shop: ShopFolder = HERE, mapping: Mapping = None, as_json: AsJson = False) -> None:
    """Load who was addressed and who was held out: campaign, customer, arm (sent or held_out), time."""
    _load("contacts", file, shop, mapping, as_json)


@load.command("redemptions")
def load_redemptions(file: File, shop: ShopFolder = HERE, mapping: Mapping = None, as_json: AsJson = False) -> None:
    """Load who took part: campaign, customer, time, offer."""
    _load("redemptions", file, shop, mapping, as_json)


@load.command("consents")
def load_consents(file: File, shop: ShopFolder = HERE, mapping: Mapping = None, as_json: AsJson = False) -> None:
    """Load who may be addressed: customer, allowed (yes or no). From then on nobody else is."""
    _load("consents", file, shop, mapping, as_json)


@campaigns.command("list")
def list_campaigns(shop: ShopFolder = HERE, as_json: AsJson = False) -> None:
    """The campaigns on record, newest first."""
    from shelfwise.plan.campaigns.draft import every

    with open_shop(shop) as opened:
        summaries = [one.to_json() for one in every(opened.store)]
    if as_json:
        print_json({"campaigns": summaries})
        return
    table = Table("campaign", "title", "channel", "from", "to", "offers", box=None, header_style="bold")
    for one in summaries:
        table.add_row(
            one["id"], one["title"], one["channel"], one["start"][:10], one["end"][:10], str(len(one["offers"]))
        )
    out.print(table)


@campaigns.command("audience")
def audience_of(
    campaign: Annotated[str, typer.Argument(help="A campaign's id.")],
    days: Annotated[int | None, typer.Option(help="Bought within so many days.", min=0)] = None,
    away: Annotated[int | None, typer.Option(help="Bought nothing for so many days.", min=0)] = None,
    orders: Annotated[int | None, typer.Option(help="At least so many orders.", min=0)] = None,
    spent: Annotated[float | None, typer.Option(help="Spent at least this.", min=0)] = None,
    category: Annotated[str, typer.Option(help="Bought of this category.")] = "",
    like: Annotated[list[str] | None, typer.Option(help="Customers the others should resemble; repeatable.")] = None,
    buys_within: Annotated[
        int | None, typer.Option(help="Would buy within so many days, as the model of purchases says.", min=1)
    ] = None,
    buys_category: Annotated[
        str, typer.Option(help="Of --buys-within: this category; the campaign's products when left out.")
    ] = "",
    buys_chance: Annotated[float, typer.Option(help="Of --buys-within: at least this chance.", min=0, max=1)] = 0.1,
    size: Annotated[int | None, typer.Option(help="At most so many, the most profitable.", min=1)] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Also those who cost more than they bring.")] = False,
    margin: Margin = 0.3,
    at: At = None,
    export: Annotated[Path | None, typer.Option(help="Record the audience and write its list as CSV here.")] = None,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Who to address: size, what it should bring with 95% intervals, profit by size. A random part is always held
    out."""
    from shelfwise.plan.campaigns.audience import Rules, audience
    from shelfwise.plan.campaigns.draft import draft
    from shelfwise.plan.campaigns.loading import history
    from shelfwise.plan.campaigns.sending import export as send

    rules = Rules(
        days=days,
        away=away,
        orders=orders,
        spent=spent,
        category=category,
        like=tuple(like or ()),
        buys_within=buys_within,
        buys_category=buys_category,
        buys_chance=buys_chance,
        size=size,
        pays=not everyone,
    )
    moment = day(at, "--at") or datetime.now(UTC)
    with open_shop(shop) as opened, progress_bar("Audience") as progress:
        plan = draft(opened.store, campaign)
        progress(0, 0, "record: reading")
        made = audience(opened.store, history(opened.store), plan, rules, moment, margin=margin)
        if export is not None:
            export.write_text(send(opened.store, plan, made, moment), "utf-8")
    if as_json:
        print_json({"summary": made.summary, "curve": made.curve, "warnings": made.warnings})
        return
    for warning in made.warnings:
        out.print(f"[yellow]Warning:[/] {warning}", highlight=False)
    _show_figures(made.summary)
    table = Table("addressed", "profit", "95%", box=None, header_style="bold")
    for point in made.curve:
        interval = f"{point['low']:,.2f} to {point['high']:,.2f}"
        table.add_row(f"{point['customers']:,.0f}", f"{point['value']:,.2f}", interval)
    out.print(table)
    if export is not None:
        out.print(f"Recorded, and written to {export}: {made.summary['sent']:,} customers", highlight=False)


def _show_figures(summary: dict[str, Any]) -> None:
    for name, value in summary.items():
        if isinstance(value, dict) and "low" in value:
            interval = f"95% {value['low']:,.2f} to {value['high']:,.2f}"
            out.print(f"{name}: {value['value']:,.2f} ({interval})", highlight=False)
        elif isinstance(value, dict):
            for inner, number in value.items():
                out.print(
                    f"{name}, {inner}: {number if isinstance(number, str) else f'{number:,.10g}'}", highlight=False
                )
        else:
            out.print(f"{name}: {value if isinstance(value, str) else f'{value:,.10g}'}", highlight=False)


@campaigns.command("plan")
def plan_of(
    names: Annotated[list[str], typer.Argument(metavar="CAMPAIGN...", help="Ids of campaigns.")],
    budget: Annotated[float, typer.Option(help="For all contacts together.", min=0)],
    most: Annotated[int, typer.Option(help="Most campaigns a customer gets.", min=1)] = 1,
    margin: Margin = 0.3,
    at: At = None,
    export: Annotated[
        Path | None, typer.Option(help="Record the plan and write a list a campaign into this folder.")
    ] = None,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Who gets which of several campaigns under one budget: the plan with the highest expected profit, and how far from
    the best it is at most."""
    from shelfwise.plan.campaigns.draft import draft
    from shelfwise.plan.campaigns.loading import history
    from shelfwise.plan.campaigns.sending import export as send
    from shelfwise.plan.campaigns.sending import plan_campaigns

    moment = day(at, "--at") or datetime.now(UTC)
    with open_shop(shop) as opened, progress_bar("Plan") as progress:
        drafts = [draft(opened.store, name) for name in dict.fromkeys(names)]
        progress(0, 0, "record: reading")
        made, chosen = plan_campaigns(
            opened.store, history(opened.store), drafts, budget, moment, most=most, margin=margin
        )
        if export is not None:
            export.mkdir(parents=True, exist_ok=True)
            for place, one in enumerate(drafts):
                if not chosen[one.id].people.is_empty():
                    text = send(opened.store, one, chosen[one.id], moment)
                    (export / f"{place + 1:02}.csv").write_text(text, "utf-8")
    result = {
        "profit": made.value,
        "at_most": made.bound,
        "gap": made.gap,
        "spent": made.spent,
        "campaigns": {name: one.summary for name, one in chosen.items()},
    }
    if as_json:
        print_json(result)
        return
    out.print(f"profit {made.value:,.2f}, at most {made.bound:,.2f} ({made.gap:.2%} below); spent {made.spent:,.2f}")
    table = Table("campaign", "sent", "held out", "profit", box=None, header_style="bold")
    for name, planned in chosen.items():
        figures = planned.summary
        table.add_row(name, str(figures["sent"]), str(figures["held_out"]), f"{figures['profit']['value']:,.2f}")
    out.print(table)


@campaigns.command("effect")
def effect_of(
    campaign: Annotated[str, typer.Argument(help="A campaign's id.")],
    at: At = None,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """What a campaign changed: those sent to beside those held out, with intervals, beside what was promised."""
    from shelfwise.plan.campaigns.draft import draft
    from shelfwise.plan.campaigns.effect import measure
    from shelfwise.plan.campaigns.loading import history

    with open_shop(shop) as opened, progress_bar("Effect") as progress:
        plan = draft(opened.store, campaign)
        progress(0, 0, "record: reading")
        result = measure(opened.store, history(opened.store), plan, day(at, "--at") or datetime.now(UTC))
    if as_json:
        print_json(result)
        return
    for warning in result["warnings"]:
        out.print(f"[yellow]Warning:[/] {warning}", highlight=False)
    out.print(
        f"{result['sent']:,} addressed, {result['held_out']:,} held out; {result['took_part']:,} took part "
        f"({result['took_part_share']:.1%}), {result['bought']:,} bought of its products",
        highlight=False,
    )
    if result["effect"]:
        table = Table("effect a customer", "difference", "95%", "with CUPED", "95%", box=None, header_style="bold")
        for name, one in result["effect"].items():
            cells = [
                text
                for part in one.values()
                for text in (f"{part['value']:.4g}", f"{part['low']:.4g} to {part['high']:.4g}")
            ]
            table.add_row(name, *cells)
        out.print(table)
    if result["segments"]:
        table = Table("spent before", "customers", "buyers more a customer", "95%", box=None, header_style="bold")
        for part in result["segments"]:
            interval = f"{part['low']:.4g} to {part['high']:.4g}"
            table.add_row(part["spent_before"], f"{part['customers']:,}", f"{part['value']:.4g}", interval)
        out.print(table)
    if result["qini"]:
        low, high = result["qini"]["low"], result["qini"]["high"]
        interval = "" if low is None else f" (95% {low:.4f} to {high:.4f})"
        out.print(f"Qini of the order it was planned in: {result['qini']['value']:.4f}{interval}", highlight=False)
    if observed := result["observed"]:
        interval = f"95% {observed['low']:.4g} to {observed['high']:.4g}"
        out.print(
            f"buyers more a customer than among alike others: {observed['value']:.4g} ({interval})", highlight=False
        )
    for name, value in result["promised"].items():
        if isinstance(value, dict) and "value" in value:
            out.print(f"[dim]promised {name}: {value['value']:,.2f}[/]", highlight=False)


@campaigns.command("recommend")
def recommend_to(
    customer: Annotated[str, typer.Option(help="A customer's id.")],
    k: Annotated[int, typer.Option("-k", help="How many.", min=1, max=100)] = 5,
    at: At = None,
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Running campaigns that address a customer, the most profitable first, with the products that fit and why."""
    with open_shop(shop) as opened:
        offers = [one.to_json() for one in opened.campaigns.offers(customer, k, day(at, "--at"))]
    if as_json:
        print_json({"campaigns": offers})
        return
    if not offers:
        out.print("No running campaign addresses this customer, or none pays.")
        return
    table = Table(
        *("campaign", "offer", "products", "expected response", "uplift", "expected profit", "why"),
        box=None,
        header_style="bold",
    )
    for one in offers:
        figures = ("–" if one[key] is None else f"{one[key]:.3f}" for key in ("response", "uplift", "profit"))
        table.add_row(one["title"], one["offer"], ", ".join(one["products"]), *figures, one["reason"])
    out.print(table)
