"""The command line's measuring verbs: `evaluate` and `benchmark`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shelfwise.cli.terminal import HERE, AsJson, ShopFolder, day, make_shop, open_shop, out, print_json, progress_bar

benchmark = typer.Typer(help="Measure on public data, beside baselines.", no_args_is_help=True)

BaselineMinutes = Annotated[
    float | None,
    typer.Option(
        help="Most minutes of fitting each of NCF and LSTM + CNN; 0 leaves them out, and without it only their own "
        "number of steps is a limit.",
        min=0,
        show_default=False,
    ),
]


def evaluate(
    shop: ShopFolder = HERE,
    only: Annotated[list[str] | None, typer.Option(help="Only these models; repeatable.")] = None,
    baseline_minutes: BaselineMinutes = None,
    questions: Annotated[
        bool,
        typer.Option(
            "--questions",
            help="Ask every question of the shop's pages too, also of engines learned without the network, texts and "
            "photos: several trainings.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure honestly: split by time, rank the whole catalogue, every baseline beside, 95% intervals."""
    with open_shop(shop) as opened, progress_bar("Evaluating") as progress:
        options: dict[str, Any] = {"only": only, "baseline_minutes": baseline_minutes, "questions": questions}
        result, folder = opened.evaluate(**options, progress=progress)
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


@benchmark.command("sequences")
def benchmark_sequences(
    file: Annotated[Path, typer.Argument(help='"user item" lines in time order, plain or .gz.')],
    network: Annotated[str | None, typer.Option(help="lstm, gru or transformer.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Fit again with the validation items before testing.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only these rows; repeatable.")] = None,
    minutes: Annotated[
        float, typer.Option(help="Most minutes of training the network, with --refit of both fits.")
    ] = 40,
    baseline_minutes: BaselineMinutes = None,
    as_json: AsJson = False,
) -> None:
    """Next-item prediction: last item is the test, the one before it validation, whole catalogue ranked."""
    from shelfwise.evaluation.sequences_benchmark import sequences

    with progress_bar("Sequences") as progress:
        result = sequences(
            file,
            network=network,
            refit=refit,
            only=only,
            minutes=minutes,
            baseline_minutes=baseline_minutes,
            progress=progress,
        )
    show_benchmark(result, as_json)


@benchmark.command("baskets")
def benchmark_baskets(
    file: Annotated[Path, typer.Argument(help='"customer basket item" lines in time order, plain or .gz.')],
    only: Annotated[list[str] | None, typer.Option(help="Only these rows; repeatable.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Most minutes of training the network.", show_default=False, min=0)
    ] = None,
    from_shop: Annotated[
        Path | None, typer.Option(help="First write the baskets of this shop's folder to FILE, customers numbered.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Next-basket prediction: last basket is the test, the one before it validation, whole catalogue ranked.

    All items, repeated and new ones; the engine beside frequency, global, personal and mixed, and TIFU-KNN."""
    from shelfwise.evaluation.baskets_benchmark import baskets
    from shelfwise.settings import Settings

    with progress_bar("Baskets") as progress:
        if from_shop is not None:
            with open_shop(from_shop) as opened:
                opened.write_baskets(file)
        settings = Settings() if minutes is None else Settings(minutes=minutes)
        result = baskets(file, settings=settings, only=only, progress=progress)
    show_benchmark(result, as_json)


@benchmark.command("next-period")
def benchmark_next_period(
    cutoff: Annotated[str, typer.Option(help="Learn before this date, for example 2017-12-01.")],
    days: Annotated[int, typer.Option(help="Length of the window after it.", min=1, max=3650)],
    shop: ShopFolder = HERE,
    only: Annotated[list[str] | None, typer.Option(help="Only these rows; repeatable.")] = None,
    baseline_minutes: BaselineMinutes = None,
    as_json: AsJson = False,
) -> None:
    """What customers buy in the next days: top 12 against the truth, everything and products new to them."""
    when = day(cutoff, "--cutoff")
    assert when is not None
    with open_shop(shop) as opened, progress_bar("Next period") as progress:
        result = opened.next_period(when, days, only=only, baseline_minutes=baseline_minutes, progress=progress)
    show_benchmark(result, as_json)


@benchmark.command("questions")
def benchmark_questions(
    cutoff: Annotated[str, typer.Option(help="Learn before this date, for example 2017-12-01.")],
    days: Annotated[int, typer.Option(help="Length of the window after it.", min=1, max=3650)],
    shop: ShopFolder = HERE,
    only: Annotated[
        list[str] | None, typer.Option(help='Only these questions, for example "complements"; repeatable.')
    ] = None,
    engine: Annotated[
        bool, typer.Option("--engine/--no-engine", help="The whole engine, which takes longest to learn.")
    ] = True,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Also an engine learned without this: network, texts or photos; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of questions.", min=0)] = 0,
    export: Annotated[
        Path | None, typer.Option(help="Write every question, what it shows and what is wanted, as JSON lines.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every question a shop's screens ask, the engine beside each question's own baselines.

    Home, first visit, complements and substitutes of a page, cart, pages and products without history, departments new
    to a customer, category pages. What the engine learned is kept in the shop's work folder for the next run."""
    when = day(cutoff, "--cutoff")
    assert when is not None
    with open_shop(shop) as opened, progress_bar("Questions") as progress:
        options: dict[str, Any] = {
            "only": only,
            "engine": engine,
            "without": without or (),
            "seed": seed,
            "export": export,
        }
        result = opened.questions(when, days, **options, progress=progress)
    if as_json:
        print_json(result)
        return
    for question in dict.fromkeys(row["question"] for row in result["rows"]):
        out.print(f"[bold]{question}[/]")
        show_rows([row for row in result["rows"] if row["question"] == question])
    if result.get("pages"):
        out.print("[bold]two pages of products[/]")
        show_rows([{"name": row["pages"], **row} for row in result["pages"]])
    for question, why in result["not_asked"].items():
        out.print(f"[bold]{question}[/] cannot be asked: {why}")
    if "engine_left_out" in result:
        out.print(f"The engine did not learn: {result['engine_left_out']}")


@benchmark.command("explanations")
def benchmark_explanations(
    shop: ShopFolder = HERE,
    asked: Annotated[int, typer.Option(help="Answers of each kind that are looked at.", min=10)] = 300,
    seed: Annotated[int, typer.Option(help="Of the draw of answers.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Are the reasons true? What a reason names is taken away, and the product must fall.

    Home pages, product pages and carts of the bundle in use; beside it another event is taken away at random."""
    with open_shop(shop) as opened, progress_bar("Explanations") as progress:
        result = opened.explanations(asked=asked, seed=seed, progress=progress)
    if as_json:
        print_json(result)
        return
    show_rows(result["rows"])
    for curve in result["curves"]:
        out.print(f"{curve['name']}: 1/rank {', '.join(f'{value:.3f}' for value in curve['1/rank'])}")
    out.print(f"'Popular' is the reason of {result['popular']:.1%} of product pages' recommendations.")


@benchmark.command("search")
def benchmark_search(
    products: Annotated[Path, typer.Option(help="A product feed.")],
    judgments: Annotated[Path, typer.Option(help="CSV: query,product_id,rating.")],
    work: Annotated[
        Path | None, typer.Option(help="Keep the shop made for it here, so that nothing is encoded twice.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search against graded judgments, beside BM25; each stage by itself."""
    from shelfwise.evaluation.search_benchmark import search_benchmark
    from shelfwise.settings import FILE

    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder, progress_bar("Search") as progress:
        place = work or Path(folder) / "shop"
        with open_shop(place) if (place / FILE).exists() else make_shop(place) as shop:
            shop.load_products(products, progress=progress)
            shop.searching.indexes.complete()
            result = search_benchmark(shop.searching, shop.store.products_frame(), judgments)
    show_benchmark(result, as_json)


@benchmark.command("rerank")
def benchmark_rerank(
    pairs: Annotated[Path, typer.Option(help="CSV: query,title,rating and, if there is one, description.")],
    as_json: AsJson = False,
) -> None:
    """Rank the given products of each query; NDCG@10, beside BM25."""
    from shelfwise.evaluation.search_benchmark import rerank

    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder:
        result = rerank(pairs, Path(folder))
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
