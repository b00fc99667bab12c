"""Why a product is in a search's answer, in words that are true of it."""

from __future__ import annotations

from collections.abc import Sequence

REASONS = {
    "en": {
        "words": "Matches your search",
        "partly": "Matches part of your search",
        "outside": "Matches your words, not your limits",
        "out_of_stock": "Sold out at present",
        "preorder": "To be ordered in advance",
        "backorder": "Ordered for you: not in stock at present",
        "browse": "From the catalogue",
        "rules": "Chosen by the shop",
        "popular": "Popular here",
        "photo": "Looks like your photo",
        "meaning": "Close to what you mean",
    },
    "zh": {
        "words": "符合您的搜索",
        "partly": "部分符合您的搜索",
        "outside": "符合搜索词，但不在所限范围内",
        "out_of_stock": "暂时缺货",
        "preorder": "可预订",
        "backorder": "可订购：暂时无现货",
        "browse": "全部商品",
        "rules": "店家推荐",
        "popular": "热门商品",
    }
    | {"photo": "与您的照片相似", "meaning": "与您的意思相近"},
}


def reason_of(source: str, relaxed: Sequence[str], sold: bool) -> str:
    """The key of REASONS. source: how the product was found. relaxed: what was given up to find it. sold: whether
    anybody bought it: else it is not popular."""
    relaxed = [step for step in relaxed if step != "stock"]
    if source == "words" and relaxed:
        return "partly" if "words" in relaxed else "outside"
    if source == "popular" and not sold:
        return "browse"
    return source
