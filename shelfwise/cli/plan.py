"""The commands of planning: what will sell, and what to order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shelfwise.cli.terminal import AsJson, out, print_json, progress_bar

TABLE = "A long table unique_id, ds, y: CSV, CSV.gz or Parquet; optional in_stock, facts, what is known ahead."


def benchmark_demand(
    file: Annotated[Path, typer.Argument(help=TABLE)],
    horizon: Annotated[int, typer.Option(help="Periods to forecast.", min=1)],
    season: Annotated[int, typer.Option(help="Periods of a season; by default that of the calendar.", min=0)] = 0,
    windows: Annotated[int, typer.Option(help="How many times the newest periods are forecast.", min=1)] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Only these rows; repeatable.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the learning.", min=1, max=256)] = 2,
    as_json: AsJson = False,
) -> None:
    """Forecast the newest periods from those before, beside per-series baselines: WQL, MASE, WAPE, bias, coverage."""
    from shelfwise.plan.demand.benchmark import demand_benchmark

    with progress_bar("Demand") as progress:
        result = demand_benchmark(
            file, horizon=horizon, season=season, windows=windows, only=only, threads=threads, progress=progress
        )
    _show(result, as_json, ("wql", "mase", "wape", "bias", "cover80", "cover90", "fit_seconds"))


def benchmark_orders(
    file: Annotated[Path, typer.Argument(help=TABLE)],
    lead_time: Annotated[int, typer.Option(help="Whole periods an order is on its way.", min=0)],
    review: Annotated[int, typer.Option(help="Periods from one order to the next.", min=1)],
    rounds: Annotated[int, typer.Option(help="Newest periods that are played.", min=1)],
    holding: Annotated[float, typer.Option(help="Cost of a unit left at a period's end.", min=0)],
    shortage: Annotated[float, typer.Option(help="Cost of a unit of demand that finds no stock.", min=0)],
    state: Annotated[
        Path | None, typer.Option(help="unique_id, on_hand, due_1, due_2, … before the first round.")
    ] = None,
    static: Annotated[Path | None, typer.Option(help="unique_id and facts; unit_price multiplies both costs.")] = None,
    season: Annotated[int, typer.Option(help="Periods of a season; by default that of the calendar.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the learning.", min=1, max=256)] = 2,
    as_json: AsJson = False,
) -> None:
    """Play the newest periods round by round: what ordering costs with the engine, and with common policies."""
    from shelfwise.plan.inventory.benchmark import orders_benchmark

    with progress_bar("Orders") as progress:
        result = orders_benchmark(
            file,
            lead=lead_time,
            review=review,
            rounds=rounds,
            holding=holding,
            shortage=shortage,
            state=state,
            static=static,
            season=season,
            threads=threads,
            progress=progress,
        )
    _show(result, as_json, ("cost", "holding", "shortage", "fill_rate"))


def _show(result: dict[str, Any], as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        print_json(result)
        return
    show_figures(result["rows"], columns)
    for note in result["notes"]:
        out.print(f"Note: {note}", highlight=False, markup=False)


def show_figures(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Rows with a name as a table; amounts of 100 and more without decimals."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", *columns, box=None, header_style="bold")
    for row in rows:
        values = [row.get(name) for name in columns]
        cells = [
            "–" if v is None else (f"{v:,.0f}" if abs(v) >= 100 else f"{v:.4f}") if isinstance(v, float) else str(v)
            for v in values
        ]
        table.add_row(Text(str(row["name"])), *(Text(cell) for cell in cells))
    out.print(table)
