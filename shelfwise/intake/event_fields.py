# ruff: noqa: E501 (the table of names is wide)
"""Which column of an event log is which field: what they are commonly called, and what only their values tell."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from shelfwise.intake import reading
from shelfwise.intake.mapping import Column, bare_name, plain_name
from shelfwise.intake.report import Findings

#: Per field, what columns are commonly called (as `plain_name` writes them), the likeliest first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "id": ("event_id", "id", "uuid", "insert_id", "message_id", "_id"),
    "type": ("type", "event_type", "event_name", "event", "metric", "metric_name", "action", "behavior", "behaviour", "interaction", "feedback_type", "event_subtype", "ereignis", "évènement", "événement", "evento", "событие", "事件", "事件类型", "行为", "行为类型", "イベント", "イベント名"),
    "time": (
        "time", "timestamp", "time_stamp", "ts", "event_time", "event_timestamp", "datetime", "date", "created_at", "created",
        "invoice_date", "order_date", "purchase_date", "date_created", "transaction_timestamp", "unix_time",
        "order_date_time", "order_datetime", "date_add", "order_time", "paid_at", "date_order", "bestelldatum", "sale_date",
        "datum", "zeitpunkt", "date_commande", "fecha", "fecha_pedido", "data_ordine", "下单时间", "订单创建时间",
        "付款时间", "订单付款时间", "时间", "日期", "original_timestamp", "collector_tstamp", "derived_tstamp", "creation_date", "date_added", "date_time", "created_on", "occurred_at", "received_at", "sent_at", "return_date", "returned_at", "refund_date", "refunded_at", "retourdatum", "hit_time_gmt", "注文日時", "注文日", "日時", "주문일시", "дата", "дата_заказа", "время", "дата_и_время",
    ),
    "customer": (
        "customer", "customer_id", "customer_user_id", "user", "user_id", "userid", "visitorid", "visitor_id",
        "household_id", "member_id", "client_id", "customer_number", "reviewer_id", "uid", "id_customer", "customer_no",
        "buyer_id", "buyer_username", "buyer", "kundennummer", "kunden_id", "kunde", "client", "cliente", "会员编号", "用户id", "用户编号", "客户编号",
        "买家会员名", "买家昵称", "会員番号", "顧客id", "email", "customer_email", "billing_email", "email_billing",
        "buyer_email", "e_mail", "distinct_id", "user_token", "visitor", "contact_email", "person_id", "profile_id", "person", "contact_id", "ユーザーid", "ユーザー", "клиент", "покупатель", "пользователь", "고객id",
    ),
    "session": ("session", "session_id", "sessionid", "user_session", "visit_id", "anonymous_id", "user_pseudo_id", "device_id", "domain_sessionid", "domain_userid"),
    "product": (
        "product_id", "productid", "item_id", "itemid", "sku", "sku_id", "product", "item", "article_id", "stock_code", "asin",
        "parent_asin", "content_id", "movie_id", "lineitem_sku", "item_sku", "product_sku", "product_code",
        "product_number", "product_reference", "item_product_id", "items_item_id", "item_item_id", "variant_id", "variation_id", "item_number", "custom_label", "custom_sku", "pid", "artikelnummer",
        "artikelnr", "artikel", "article", "référence", "codice_articolo", "código", "артикул", "товар", "код_товара", "referencia", "商品编号", "商品编码", "商家编码", "商品id", "货号", "商品番号",
        "商品コード", "상품번호",
    ),
    "quantity": (
        "quantity", "qty", "count", "units", "pieces", "lineitem_quantity", "item_quantity", "qty_ordered",
        "product_quantity", "items_quantity", "quantity_purchased", "product_qty", "menge", "anzahl", "stück", "quantité", "cantidad", "quantità",
        "数量", "购买数量", "宝贝数量", "個数", "количество", "수량",
    ),
    "price": (
        "price", "unit_price", "item_price", "lineitem_price", "item_cost", "product_price", "items_price", "unit_price_tax_incl",
        "sold_for", "product_unit_price", "einzelpreis", "preis", "prix_unitaire", "prix", "precio", "prezzo", "单价", "价格", "商品价格", "単価", "цена", "단가",
    ),
    "value": ("value", "rating", "stars", "score"),
    "query": ("query", "search_term", "search_query", "q", "keyword", "keywords"),
    "request_id": (
        "request_id", "transaction_id", "transactionid", "order_id", "order_number", "increment_id",
        "invoice_no", "invoice", "basket_id", "order", "amazon_order_id", "ecommerce_transaction_id", "purchase_transaction_id", "id_order", "order_no", "unique_transaction_id", "order_reference",
        "bestellnummer", "bestell_nr", "auftragsnummer", "numéro_de_commande", "número_de_pedido", "订单编号", "订单号",
        "注文番号", "주문번호",
    ),
    "status": (
        "order_status", "financial_status", "payment_status", "status", "item_status", "order_state", "current_state",
        "state_machine_state", "state_machine_state_technical_name", "bestellstatus", "auftragsstatus", "statut", "estado", "订单状态", "交易状态",
        "注文ステータス", "주문상태",
    ),
    "cancelled": ("cancelled_at", "canceled_at", "cancelled", "canceled", "cancel_date", "voided_at", "storniert_am"),
    "returned": ("qty_refunded", "quantity_refunded", "refunded_quantity", "qty_returned", "quantity_returned", "returned_quantity", "item_refunded_quantity", "refund_quantity", "refunded_qty", "returned_qty"),
    "test": ("test", "is_test", "test_order", "is_test_order"),
    "name": (
        "item_name", "product_name", "lineitem_name", "product_title", "description", "title", "宝贝标题", "商品名称",
    ),
}  # fmt: skip
_CLOCKS = ("time", "order_time", "uhrzeit", "zeit", "heure", "hora", "ora", "时间")
_DAYS = (
    "date",
    "date_created",
    "order_date",
    "invoice_date",
    "purchase_date",
    "datum",
    "bestelldatum",
    "fecha",
    "日期",
    "day",
    "jour",
)
_SAMPLE = 1_000  # rows that say which of several columns is meant


def clock_beside(path: Path, kind: str, header: Sequence[str], columns: dict[str, Column]) -> str:
    """The column with the time of day where the date stands in another, which then is the time's."""
    plain = {plain_name(name): name for name in header}
    day = next((plain[name] for name in _DAYS if name in plain), "")
    clock = next((plain[name] for name in _CLOCKS if name in plain and plain[name] != day), "")
    if not (day and clock):
        return ""
    sample = next(reading.text_frames(path, kind, [clock]), None)
    texts = [] if sample is None else [text for text in sample[clock].head(_SAMPLE).to_list() if text.strip()]
    if not texts or not all(
        re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?", text.strip()) for text in texts
    ):
        return ""
    columns["time"] = Column(day)
    return clock


def known_best(
    path: Path, kind: str, header: Sequence[str], found: Mapping[str, Column], known: Collection[str]
) -> Column:
    """Of the columns that may name the product the one whose ids the catalogue has."""
    taken = {column.name for field, column in found.items() if field != "product"}
    called = set(SYNONYMS["product"])
    names = [name for name in header if {plain_name(name), bare_name(name)} & called and name not in taken]
    if len(names) < 2:
        return found["product"]
    sample = next(reading.text_frames(path, kind, names), None)
    if sample is None:
        return found["product"]
    head = sample.head(_SAMPLE)
    first = found["product"].name
    met = {name: sum(text.strip() in known for text in head[name].to_list()) for name in names}
    return Column(max(names, key=lambda name: (met[name], name == first)))


def order_by_name(header: Sequence[str], columns: dict[str, Column]) -> None:
    """Shopify's order export calls an order's number "Name"."""
    if "Name" in header and any(name.startswith("Lineitem ") for name in header):
        columns["request_id"] = Column("Name")
        columns.pop("id", None)


def order_by_id(
    path: Path, kind: str, mapping: Mapping[str, str] | None, columns: dict[str, Column], findings: Findings
) -> None:
    """A column just called id that repeats with other products is an order's number, not an event's."""
    column = columns.get("id")
    if column is None or (mapping and "id" in mapping) or plain_name(column.name) != "id" or "product" not in columns:
        return
    for texts in reading.text_frames(path, kind, [column.name, columns["product"].name]):
        lines = texts.filter(pl.col(column.name) != "").group_by(column.name)
        several = lines.agg(products=pl.col(columns["product"].name).n_unique()).filter(pl.col("products") > 1)
        if several.height:
            columns.pop("id")
            taken = ""
            if "request_id" not in columns and not (mapping and "request_id" in mapping):
                columns["request_id"] = Column(column.name)
                taken = ": taken as the order's number"
            why = (
                f"the column {column.name} repeats with other products, so it is no event's id{taken} "
                f"(--map id={column.name} reads it as one)"
            )
            findings.add("repeated_id", "note", why, [(0, several[column.name][0])], count=several.height)
        return


def lines_of_lines(header: Sequence[str]) -> tuple[str, ...]:
    """Magento's columns of an order's line and of the line it is part of (parent_item_id, item_id); () for neither."""
    plain = {plain_name(name): name for name in header}
    names = ("parent_item_id", "item_id")
    return tuple(plain[name] for name in names) if plain.keys() >= {*names, "sku"} else ()


_TOTAL = frozenset(
    (
        "total",
        "total_paid",
        "grand_total",
        "order_total",
        "gesamtbetrag",
        "gesamtsumme",
        "montant_total",
        "importe_total",
        "totale",
        "合计",
    )
)
_PAYMENT = frozenset(
    (
        "payment",
        "payment_method",
        "payment_type",
        "paiement",
        "mode_de_paiement",
        "zahlung",
        "zahlungsart",
        "pago",
        "método_de_pago",
        "metodo_de_pago",
        "pagamento",
        "betaalmethode",
        "płatność",
        "支付方式",
    )
)
_LINE = frozenset(
    (
        *SYNONYMS["quantity"],
        *SYNONYMS["price"],
        *(name for name in SYNONYMS["product"] if name not in ("référence", "referencia")),
    )
)


def are_orders_alone(header: Sequence[str]) -> bool:
    """Whether a table lists orders by their totals and payments, with nothing of what was ordered."""
    plain = {bare_name(name) for name in header}
    return bool(plain & _TOTAL) and bool(plain & _PAYMENT) and not plain & _LINE and not any(map(_is_of_lines, plain))


def _is_of_lines(name: str) -> bool:
    return re.search(r"item|product|article|artikel|sku", name) is not None
