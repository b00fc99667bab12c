"""An uploaded file → the record, in two steps: tried against a throw-away record, so that a person reads the quality
report before anything changes; then, once accepted, loaded.

The file keeps the name it was given here; what its owner called it is only shown.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shelfwise import schema
from shelfwise.errors import UnreadableFile
from shelfwise.intake import QualityReport, load_events, load_products, reading
from shelfwise.intake.containers import DAMAGED, unpacked_size
from shelfwise.intake.recognise import recognise
from shelfwise.models.recommender import Progress
from shelfwise.shop import Shop
from shelfwise.store import Store, open_store

UPLOADS = "uploads"  # folder of the shop
REPORT = "report.json"
COLUMNS = "columns.json"  # what the import page remembers of which column is which field
MAX_UNPACKED = 20  # times the largest upload: what a compressed one may hold


def run(shop: Shop, arguments: Mapping[str, str], folder: Path, progress: Progress | None = None) -> QualityReport:
    """Try or load one uploaded file; its report is also written to `folder` as report.json.

    arguments: file, the upload's name within the shop's uploads; name, what its owner called it; check, "yes" to change
    nothing. The report's facts say `contents` (products or events) and, when trying, what loading would change.
    Raises UnreadableFile, having changed nothing.
    """
    path = upload(shop, arguments["file"])
    trying = arguments.get("check") == "yes"
    shown = Path(arguments.get("name") or path.name)
    try:
        check_size(path, MAX_UNPACKED * shop.settings.upload_mb * 1_000_000)
        contents = recognise(path)
        if trying:
            report = _tried(shop, path, contents, progress)
        else:
            report = _loaded(shop, shop.store, path, contents, progress)
    except UnreadableFile as error:
        raise UnreadableFile(shown, error.problem, line=error.line, column=error.column) from None
    report = replace(report, source=str(shown), facts={"contents": contents, **report.facts})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(json.dumps(report.to_json(), ensure_ascii=False, default=str), "utf-8")
    if not trying:
        shop.keep_report(report)
        path.unlink(missing_ok=True)
    return report


def remembered(shop: Shop) -> dict[str, str]:
    """Field → column, as chosen on the console's import page for files like the last."""
    try:
        columns = json.loads((shop.folder / COLUMNS).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {str(field): str(column) for field, column in columns.items()}


def _fitting(columns: Mapping[str, str], path: Path) -> dict[str, str]:
    """Those remembered that this file has."""
    kind = reading.sniff(path) if columns else ""
    if kind not in ("csv", "tsv", "parquet"):
        return dict(columns)
    header = set(reading.header_of(path, kind))
    return {field: column for field, column in columns.items() if column in header}


def remember(shop: Shop, columns: Mapping[str, str]) -> None:
    """Keep these for the next file; none forgets them."""
    path = shop.folder / COLUMNS
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dict(columns), ensure_ascii=False, indent=2) + "\n", "utf-8")
    part.replace(path)


def _preview(store: Store, ids: Iterable[str]) -> list[dict[str, Any]]:
    """Products as shoppers will see them: what a page shows of each."""
    now = schema.now()
    shown = []
    for product in store.products(ids).values():
        offer = product.offered(now)
        one = offer or product
        shown.append(
            {
                "id": one.id,
                "title": one.title,
                "brand": one.brand,
                "category": one.product_type,
                "price": one.price,
                "original_price": one.original_price,
                "currency": one.currency,
                "availability": str(one.availability),
                "status": str(one.status),
                "image_link": one.image_link if one.image_link.startswith("http") else "",
            }
        )
    return shown


def read_report(folder: Path) -> QualityReport | None:
    """What `run` wrote; None where it has not (yet)."""
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return QualityReport.from_json(report)


def upload(shop: Shop, name: str) -> Path:
    """Where an upload of this name lies. Raises UnreadableFile for a name that was never given to one."""
    if not (name.isascii() and name.isalnum() and len(name) == 32):
        raise UnreadableFile(name[:60], "is no upload of this shop")
    return shop.folder / UPLOADS / name


def check_size(path: Path, most: int) -> None:
    """Raises UnreadableFile when a gzip file unpacks to more than `most` bytes."""
    try:
        size = unpacked_size(path)
        with path.open("rb") as raw:
            if raw.read(2) != b"\x1f\x8b" and not size:
                return
        if not size:
            with gzip.open(path, "rb") as stream:
                while size <= most and (block := stream.read(1_000_000)):
                    size += len(block)
        if size > most:
            raise UnreadableFile(path, f"unpacks to more than {most // 1_000_000:,} MB; send it in parts")
    except FileNotFoundError:
        raise UnreadableFile(path, "is no longer there; upload it again") from None
    except DAMAGED as error:
        raise UnreadableFile(path, f"is cut off or damaged: {error}") from None


def _loaded(shop: Shop, store: Store, path: Path, contents: str, progress: Progress | None) -> QualityReport:
    if contents == "events":
        return load_events(path, store, usual=shop.settings.event_columns, progress=progress)
    settings = shop.settings
    return load_products(
        path,
        store,
        mapping={**settings.product_columns, **_fitting(remembered(shop), path)} or None,
        images=shop.folder,
        currency=settings.currency,
        progress=progress,
    )


def _tried(shop: Shop, path: Path, contents: str, progress: Progress | None) -> QualityReport:
    with (
        tempfile.TemporaryDirectory(prefix="shelfwise-") as folder,
        open_store(f"sqlite:///{Path(folder) / 'tried.db'}", durable=False) as store,
    ):
        known = set(shop.store.product_ids())
        if contents == "products":
            store.import_products([shop.store.products_frame()])  # what the file leaves out keeps its values
        report = _loaded(shop, store, path, contents, progress)
        if contents == "products":
            fresh = len(set(store.product_ids()) - known)
            changes: dict[str, Any] = {"new": fresh, "replaced": report.kept - fresh}
            changes["preview"] = _preview(store, report.facts.get("preview", ()))
        else:
            named: set[str] = set()
            for frame in store.event_frames(columns=["product"]):
                named.update(frame["product"].unique())
            changes = {"products": len(named - {""}), "unknown products": len(named - known - {""})}
    return replace(report, facts=report.facts | changes)
