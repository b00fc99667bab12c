"""The commands of planning: what will sell, and what to order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, day, open_shop, out, print_json, progress_bar
from shelfwise.errors import InvalidRequest

if TYPE_CHECKING:
    import polars as pl

Country = Annotated[str, typer.Option(help="Whose public holidays the calendar has, for example US.")]
TABLE = "A long table unique_id, ds, y: CSV, CSV.gz or Parquet; optional in_stock, facts, what is known ahead."


def benchmark_demand(
    file: Annotated[Path, typer.Argument(help=TABLE)],
    horizon: Annotated[int, typer.Option(help="Periods to forecast.", min=1)],
    season: Annotated[int, typer.Option(help="Periods of a season; by default that of the calendar.", min=0)] = 0,
    windows: Annotated[int, typer.Option(help="How many times the newest periods are forecast.", min=1)] = 1,
    country: Country = "",
    only: Annotated[list[str] | None, typer.Option(help="Only these rows; repeatable.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the learning.", min=1, max=256)] = 2,
    as_json: AsJson = False,
) -> None:
    """Forecast the newest periods from those before, beside per-series baselines: WQL, MASE, WAPE, bias, coverage."""
    from shelfwise.plan.demand.benchmark import demand_benchmark

    with progress_bar("Demand") as progress:
        result = demand_benchmark(
            file,
            horizon=horizon,
            season=season,
            windows=windows,
            country=country,
            only=only,
            threads=threads,
            progress=progress,
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
    country: Country = "",
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
            country=country,
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


def forecast(
    shop: ShopFolder = HERE,
    days: Annotated[int | None, typer.Option(help="Days ahead, one by one.", min=1)] = None,
    weeks: Annotated[
        int | None, typer.Option(help="Weeks ahead, one by one.", min=1, show_default="4 without --days")
    ] = None,
    product: Annotated[list[str] | None, typer.Option(help="Only this product; repeatable.")] = None,
    by: Annotated[str, typer.Option(help="product, category or brand.")] = "product",
    file: Annotated[Path | None, typer.Option("--out", help="Write .csv or .parquet instead of printing.")] = None,
    as_json: AsJson = False,
) -> None:
    """What will sell: for each product and period the mean and quantiles of demand, from the record's purchases."""
    import polars as pl

    with open_shop(shop) as opened, progress_bar("Forecast") as progress:
        table = opened.forecast(days=days, weeks=weeks, products=product or (), by=by, progress=progress)
    if file is not None:
        _write(table, file)
        out.print(f"{table.height:,} rows in {file}", highlight=False, markup=False)
    elif as_json:
        print_json({"forecast": table.with_columns(pl.col("start").cast(pl.String)).to_dicts()})
    else:
        _print(table, [table.columns[0], "start", "mean", "q05", "q20", "q50", "q80", "q95"])


def orders(
    shop: ShopFolder = HERE,
    date: Annotated[str | None, typer.Option(help="As of this day, from what had sold before it.")] = None,
    budget: Annotated[float | None, typer.Option(help="Most money to spend; the best use of it.", min=0)] = None,
    file: Annotated[Path | None, typer.Option("--out", help="Write the lines to order as .csv or .parquet.")] = None,
    as_json: AsJson = False,
) -> None:
    """What to order: quantities, why, days of cover, the chance of running out; what is overstocked or dead."""
    when = day(date, "--date")
    import polars as pl

    with open_shop(shop) as opened, progress_bar("Orders") as progress:
        lines = opened.orders(day=None if when is None else when.date(), budget=budget, progress=progress)
    if as_json:
        print_json({"orders": [line.to_json() for line in lines]})
        return
    table = pl.DataFrame([line.to_json() | {"assumed": ", ".join(line.assumed)} for line in lines])
    wanted = table.filter(pl.col("quantity") > 0)
    if file is not None:
        _write(wanted, file)
        out.print(f"{wanted.height:,} products to order in {file}", highlight=False, markup=False)
    else:
        _print(table, ["product", "status", "quantity", "on_hand", "on_order", "demand", "cover_days", "stockout"])
    counts = {name: table.filter(pl.col("status") == name).height for name in ("runs_out", "overstock", "dead")}
    out.print(
        f"{wanted.height:,} to order; {counts['runs_out']:,} run out before an order can come, "
        f"{counts['overstock']:,} overstocked, {counts['dead']:,} dead.",
        highlight=False,
    )
    assumed = sorted({name for line in lines for name in line.assumed})
    if assumed:
        out.print(f"Not given for every product, so taken from the settings: {', '.join(assumed)}.", highlight=False)


def load_stock(
    file: Annotated[
        Path,
        typer.Argument(help="CSV, Parquet or JSON Lines: product, on_hand and what else is known; see docs/demand.md."),
    ],
    shop: ShopFolder = HERE,
    as_json: AsJson = False,
) -> None:
    """Load what is on hand and on order, lead times and costs; it replaces the stock recorded before."""
    with open_shop(shop) as opened:
        kept, problems = opened.planner.load_stock(file)
    if as_json:
        print_json({"kept": kept, "dropped": [{"line": line, "problem": text} for line, text in problems]})
        return
    out.print(f"[bold]{kept:,} kept, {len(problems):,} dropped[/]")
    for line, text in problems[:10]:
        out.print(f"line {line}: {text}", highlight=False, markup=False)


def _write(table: pl.DataFrame, file: Path) -> None:
    try:
        if file.suffix == ".parquet":
            table.write_parquet(file)
        elif file.suffix == ".csv":
            table.write_csv(file)
        else:
            raise InvalidRequest("--out", f"{file.name!r} must end in .csv or .parquet")
    except OSError as error:
        raise InvalidRequest("--out", f"{file} cannot be written: {error.strerror}") from None


def _print(table: pl.DataFrame, columns: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=None, header_style="bold")
    for row in table.select(columns).head(40).iter_rows():
        shown.add_row(*(Text(f"{v:,.2f}" if isinstance(v, float) else "–" if v is None else str(v)) for v in row))
    out.print(shown)
    if table.height > 40:
        out.print(f"… {table.height - 40:,} more; --out FILE has them all", highlight=False)
