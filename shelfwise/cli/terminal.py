"""What the commands share: the terminal, the options every one takes, progress, dates."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from shelfwise.errors import InvalidRequest

if TYPE_CHECKING:
    from shelfwise.models.recommender import Progress as Callback
    from shelfwise.shop import Shop

out = Console()
err = Console(stderr=True)

ShopFolder = Annotated[
    Path, typer.Option("--shop", envvar="SHELFWISE_SHOP", help="The shop's folder.", show_default="the current folder")
]
HERE = Path()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def open_shop(folder: Path) -> Shop:
    """The shop, imported now: what only prints help or a version does not wait for it."""
    from shelfwise.shop import Shop

    return Shop(folder)


def make_shop(folder: Path, **settings: Any) -> Shop:
    from shelfwise.shop import Shop

    return Shop.create(folder, **settings)


@contextmanager
def progress_bar(title: str) -> Iterator[Callback]:
    """A live bar on a terminal; elsewhere one line when the status changes stage, to standard error."""
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _TimeLeft(),
        TextColumn("{task.fields[status]}"),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bars:
        task = bars.add_task(title, total=None, status="")
        last = ""

        def show(done: int, total: int, status: str) -> None:
            nonlocal last
            bars.update(task, completed=done, total=total or None, status=status)
            stage = status.split(":", 1)[0]
            if not err.is_terminal and stage != last:
                last = stage
                err.print(f"{title}: {status}", highlight=False, markup=False, soft_wrap=True)

        yield show


class _TimeLeft(TimeRemainingColumn):
    def render(self, task: Task) -> Text:
        """Of what is being done now, at the pace of the last half minute; nothing while that is unknown."""
        left = task.time_remaining
        return Text("" if not left else f"{super().render(task)} left", style="progress.remaining")


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def day(text: str | None, option: str) -> datetime | None:
    """A date or a time as the moment it means: with an offset that moment, without one UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        example = "2017-12-01 or 2017-12-01T10:00+08:00"
        raise InvalidRequest(option, f"{text!r} is not a date or time like {example}") from None
