"""The commands around campaigns: what an A/B test shows, who to address, what a campaign brought."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shelfwise.cli.terminal import AsJson, out, print_json, progress_bar


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
