"""What exports of orders say beside who bought what: cancelled and refunded orders, pieces given back, postage.

A refund is an event of its own (`refund`), so that nothing given is lost; what it takes back, the record works out
(`store/returns.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import translate

import polars as pl

from shelfwise.intake.report import Findings
from shelfwise.schema import EventType, is_nobody

_PURCHASE, _REFUND = str(EventType.PURCHASE), str(EventType.REFUND)
#: Words of an order's status (lower case, _ for spaces) that give it back whole, and that say it was never paid.
GIVEN_BACK = frozenset(
    (
        "refunded", "refund", "cancelled", "canceled", "cancel", "voided", "void", "returned", "closed", "reversed",
        "chargeback", "charged_back", "annulled", "wc-refunded", "wc-cancelled", "storniert", "erstattet",
        "retourniert", "rückerstattet", "annulé", "annulee", "annulée", "remboursé", "remboursée", "cancelado",
        "reembolsado", "devuelto", "annullato", "rimborsato", "geannuleerd", "terugbetaald", "已取消", "已退款",
        "交易关闭", "取消", "退款", "キャンセル", "返品", "返金済み",
    )
)  # fmt: skip
UNPAID = frozenset(
    (
        "pending", "pending_payment", "wc-pending", "failed", "wc-failed", "draft", "checkout-draft",
        "wc-checkout-draft", "trash", "abandoned", "expired", "unpaid", "payment_error", "declined", "fraud",
        "awaiting_payment", "payment_pending", "awaiting_authorization", "not_paid", "incomplete", "open_payment",
        "on_hold_payment", "payment_failed", "zahlung_ausstehend", "zahlungsfehler",
        "erreur_de_paiement", "paiement_échoué", "en_attente_de_paiement", "error_en_el_pago", "error_de_pago",
        "pago_pendiente", "pendiente_de_pago", "errore_pagamento", "in_attesa_di_pagamento", "betaling_mislukt",
        "błąd_płatności", "oczekuje_na_płatność", "ошибка_оплаты", "ожидает_оплаты", "入金待ち", "결제대기",
        "fehlgeschlagen", "待付款", "未付款", "支付失败",
    )
)  # fmt: skip
#: Ids of what shops book beside products, where the catalogue has no such product; whole ids, * for any letters.
NO_PRODUCTS = (
    "POST", "POSTAGE*", "CRUK", "PADS", "AMAZONFEE*", "BANK CHARGES", "SHIPPING*", "SHIP", "DELIVERY*", "FREIGHT*",
    "HANDLING*", "VERSAND*", "PORTO", "GIFT_0*", "GIFTCARD*", "GIFT-CARD*", "GIFT_CARD*", "GIFT CARD*", "GUTSCHEIN*",
    "VOUCHER*", "COUPON*", "DISCOUNT*", "RABATT*", "TIP", "TIPS", "GRATUITY", "TRINKGELD", "FEE", "FEES", "SURCHARGE*",
    "DONATION*", "ROUNDING*", "GIFTWRAP*", "GIFT-WRAP*", "GIFT WRAP*", "运费", "邮费", "礼品卡",
)  # fmt: skip
_PARTLY = (
    r"^(?:partial|teil|parcial|parzial|częściow|部分|一部).*"
    r"(?:refund|return|cancel|erstatt|retour|rembours|reembols|devuel|rimbors|zwr|退|返)"
)
_LETTERS = frozenset(("D", "M", "S", "B", "C2", "DOT"))  # of a till; only where there is a catalogue without them
_NAMES = re.compile(
    r"^(?:manual|adjust(?:ment)?|postage|shipping|delivery|freight|tips?|gratuity|gift ?cards?|gift certificate|"
    r"e-?gift|store credit|bank charges|amazon fee|versand(?:kosten)?|porto|geschenkgutschein|trinkgeld|frais de port|"
    r"carte cadeau|gastos de envío|运费|邮费|礼品卡)\b",
    re.IGNORECASE,
)


def filled_down(texts: pl.DataFrame, order: str, columns: Sequence[str], last: dict[str, str]) -> pl.DataFrame:
    """Texts of an order that only its first line has (Shopify's order export), on its other lines too.

    last: of the row before; changed."""
    if not columns or texts.is_empty():
        return texts
    same = (pl.col(order) == pl.col(order).shift(1, fill_value=last.get(order, "\x00"))) & (pl.col(order) != "")
    frame = texts.with_columns(run=(~same).cum_sum())
    for name in columns:
        value = pl.when(pl.col(name) != "").then(pl.col(name))
        carried = pl.when(pl.col("run") == 0).then(pl.lit(last.get(name, "")))
        frame = frame.with_columns(pl.coalesce(value.forward_fill().over("run"), carried, pl.lit("")).alias(name))
    last.update({name: frame[name][-1] for name in (order, *columns)})
    return frame.drop("run")


def settled(frame: pl.DataFrame, status: pl.Series, findings: Findings) -> pl.DataFrame:
    """Rows of orders by what became of them: negative pieces are refunds, orders given back have one, those never paid
    are none. frame: `line` and the columns of an event."""
    shown = ("type", "product", "quantity", "request_id", "customer")
    word = status.str.strip_chars().str.to_lowercase().str.replace_all(r"\s+", "_")
    bought = pl.col("type") == _PURCHASE
    frame = frame.with_columns(
        back=word.is_in(list(GIVEN_BACK)),
        unpaid=word.is_in(list(UNPAID)),
        part=word.str.contains(_PARTLY),
        status=status,
    )
    unpaid = frame.filter(bought & pl.col("unpaid"))
    findings.add_rows("unpaid_order", "dropped", "the order was never paid", unpaid, "request_id", "status", "product")
    frame = frame.filter(~(bought & pl.col("unpaid")))
    order = bought | (pl.col("type") == _REFUND)
    none = order & (pl.col("quantity") == 0).fill_null(value=False)
    nothing = frame.filter(none)
    findings.add_rows("zero_quantity", "dropped", "nothing was bought: the quantity is 0", nothing, *shown)
    frame = frame.filter(~none)
    negative = order & (pl.col("quantity") < 0).fill_null(value=False)
    given = frame.filter(negative & bought)
    why = "a negative quantity: a refund of this many pieces; what it takes back counts for nothing"
    findings.add_rows("negative_quantity", "mended", why, given, *shown)
    frame = frame.with_columns(
        type=pl.when(negative).then(pl.lit(_REFUND)).otherwise("type"),
        ordered=pl.col("ordered") & ~negative,  # a refund of the order's own number is not the order again
        quantity=pl.when(order).then(pl.col("quantity").abs()).otherwise("quantity"),
        price=pl.when((pl.col("type") == _REFUND) | negative).then(pl.col("price").abs()).otherwise("price"),
    )
    refunded = set(frame.filter(pl.col("type") == _REFUND)["request_id"])
    partly = bought & pl.col("part") & ~pl.col("request_id").is_in(refunded)
    why = "part of the order was given back, and the file does not say which: kept as bought. Load its refunds too"
    findings.add_rows("partly_given_back", "flagged", why, frame.filter(partly), "request_id", "status", "product")
    findings.flagged += frame.filter(partly).height
    gone = frame.filter(bought & pl.col("back"))
    why = "the order was cancelled or refunded: recorded with its refund, it counts for nothing"
    findings.add_rows("order_given_back", "mended", why, gone, "request_id", "status", "product")
    if gone.height:
        refunds = gone.with_columns(type=pl.lit(_REFUND), id=pl.lit(""), ordered=pl.lit(value=False))
        findings.read += refunds.height
        frame = pl.concat([frame, refunds])
    return frame.drop("back", "unpaid", "part", "status")


def somebody(frame: pl.DataFrame, nobodies: Collection[str], findings: Findings) -> pl.DataFrame:
    """Customers and sessions that stand for nobody are none; an order without either is a visit of its own."""
    for field in ("customer", "session"):
        ids = frame[field].unique()
        session = field == "session"
        none = [name for name in ids if is_nobody(name, session=session) or (not session and name in nobodies)]
        if none:
            rows = frame.filter(pl.col(field).is_in(none))
            why = f"stands for nobody: taken as no {field}"
            counts = rows[field].value_counts(sort=True)
            said = [f"{name!r}: {count:,} events" for name, count in counts.head(20).iter_rows()]
            examples = [(0, ", ".join(said[start : start + 4])) for start in range(0, len(said), 4)]
            findings.add(f"no_{field}", "mended", why, examples, count=rows.height)
            frame = frame.with_columns(
                pl.when(pl.col(field).is_in(none)).then(pl.lit("")).otherwise(field).alias(field)
            )
    guest = (
        (pl.col("customer") == "")
        & (pl.col("session") == "")
        & (pl.col("request_id") != "")
        & pl.col("type").is_in([_PURCHASE, _REFUND])
    )
    guests = frame.filter(guest)
    findings.add_rows(
        "guest_order", "note", "no customer: the order is a visit of its own", guests, "request_id", "product"
    )
    return frame.with_columns(session=pl.when(guest).then(pl.format("order {}", "request_id")).otherwise("session"))


def products_only(
    frame: pl.DataFrame, titles: pl.Series, known: Collection[str], patterns: Sequence[str], findings: Findings
) -> pl.DataFrame:
    """Without postage, gift cards, tips and the like: by id or name, of what the catalogue lacks, or by `patterns`."""
    frame = frame.with_columns(title_=titles)
    ids = frame["product"].unique()
    usual = re.compile("|".join(translate(pattern) for pattern in NO_PRODUCTS), re.IGNORECASE)
    chosen = re.compile("|".join(translate(pattern) for pattern in patterns) or r"(?!)", re.IGNORECASE)
    none = [
        name
        for name in ids
        if name and (chosen.match(name) or (name not in known and (usual.match(name) or (known and name in _LETTERS))))
    ]
    named = pl.col("title_").str.contains(f"(?i){_NAMES.pattern}") & ~pl.col("product").is_in(list(known))
    condition = pl.col("product").is_in(none) | ((pl.col("product") != "") & named)
    dropped = frame.filter(condition)
    why = "postage, gift cards, tips, fees: no product of the catalogue (the setting not_products names more)"
    findings.add_rows("no_product", "dropped", why, dropped, "product", "title_", "request_id")
    return frame.filter(~condition).drop("title_")


def without_children(texts: pl.DataFrame, parent: str, line: str, findings: Findings) -> pl.DataFrame:
    """Without lines that are part of another line of the frame, as Magento writes a configurable product's variant."""
    inside = (pl.col(parent) != "") & pl.col(parent).is_in(set(texts[line]))
    why = "a line that is part of another line of its order; joined to it"
    findings.add_rows("line_of_a_line", "dropped", why, texts.filter(inside), parent)
    return texts.filter(~inside)
