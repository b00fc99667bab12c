"""How shoppers say prices, orders, refusals, audiences and sizes in a query, in English and Chinese."""

from __future__ import annotations

import re

from shelfwise.search.query.chinese import HAN

CHEAP, DEAR = 0.33, 0.75  # quantiles of the prices of the matching category

#: Whom a product is for, each with the words of titles and values that say so.
AUDIENCES = {
    "kids": "kids kid children child junior toddler 儿童 童 小孩 孩子 宝宝",
    "baby": "baby babies infant newborn 婴儿 宝宝 婴幼儿",
    "boys": "boys boy 男童 男孩",
    "girls": "girls girl 女童 女孩",
    "men": "men man mens male 男士 男 男款 男式",
    "women": "women woman womens ladies female 女士 女 女款 女式",
}
CHINESE_AUDIENCE = {"儿童": "kids", "小孩": "kids", "婴儿": "baby", "男童": "boys", "女童": "girls", "男士": "men"}
CHINESE_AUDIENCE |= {"女士": "women", "男款": "men", "女款": "women", "孩子": "kids"}
_UNITS = (
    r"(?:\s?-?(?:inch(?:es)?|in|ins|cm|mm|m|km|ft|feet|foot|gb|tb|mb|kb|g|gr|grams?|kg|kilos?|mg|lbs?|pounds?|oz|ml|cl|l"
    r"|lit(?:er|re)s?|w|kw|watts?|v|volts?|a|amps?|va|mah|wh|hz|khz|mhz|ghz|fps|mp|megapixels?|dpi|rpm|db|lumens?|lm|k|p"
    r"|x|ply|bit|cores?|ports?|pins?|pages?|sheets?|ppm|pcs?|pieces?|packs?|people|persons?|players?|users?|hours?|hrs?|h"
    r"|min(?:ute)?s?|days?|weeks?|months?|years?|yrs?|yo|degrees?|way|outlets?|d|series|gen|plus|pro|max|mini)\b"
    r'|\s?["%°\']|\s?(?:英寸|寸|厘米|毫米|米|公斤|千克|克|斤|毫升|升|瓦|伏|毫安|岁|个|件|只|片|包|抽|支|卷|人|口|天|月|年|小时'
    r"|分钟|码|号|度|格|层|级|代|核|位|孔|页|张|双|套|瓶|盒|袋|条|g|k))"
)
_SIGN = r"(?:(?:us|hk|nt|a|c)?[$€£¥]|(?:usd|eur|gbp|rmb|cny)\s?)"
_CURRENCY = r"(?:\s?(?:dollars?|bucks|usd|euros?|eur|gbp|quid|yuan|rmb|cny|元|块钱?|人民币|美元|欧元|[$€£¥]))"


def _amount(name: str) -> str:
    number = r"(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.\d{1,2})?"
    return rf"(?P<s{name}>{_SIGN})?\s?(?P<{name}>{number}(?:\s?[千万]|k(?![a-z]))?)(?P<c{name}>{_CURRENCY})?"


_END = rf"(?![\w.,\-/]*\d)(?!{_UNITS})(?![a-z])"
_LEAST = (
    r"(?:over|above|more than|at least|greater than|higher than|no less than|not under|>=?|高于|大于|超过|不低于|至少)"
)
_MOST = (
    r"(?:under|below|less than|cheaper than|lower than|up to|at most|(?:no|not) (?:more|over) than|not over|beneath|<=?"
    r"|低于|少于|小于|不超过|最多|不到)"
)
PRICES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("range", rf"(?<![\w.])between\s+{_amount('a')}\s*(?:and|to|-)\s*{_amount('b')}{_END}"),
        ("range", rf"(?<![a-z0-9.])(?:from\s+)?{_amount('a')}\s*(?:-|~|to|till|到|至)\s*{_amount('b')}{_END}"),
        ("high", rf"(?<![a-z0-9]){_MOST}\s*{_amount('b')}{_END}"),
        ("low", rf"(?<![a-z0-9]){_LEAST}\s*{_amount('a')}{_END}"),
        ("high?", rf"(?<![a-z0-9])(?:max(?:imum)?|within|budget(?: of)?|预算)\s*{_amount('b')}{_END}"),
        ("low?", rf"(?<![a-z0-9])(?:min(?:imum)?|from|starting (?:at|from))\s*{_amount('a')}{_END}"),
        ("high", rf"(?<![a-z0-9.]){_amount('b')}\s*(?:以下|以内|之内|之下|or less|or under|and under|or below)"),
        (
            "low",
            rf"(?<![a-z0-9.]){_amount('a')}\s*(?:以上|之上|起(?!重|动)|or more|and up|or above|and above|plus only)",
        ),
        ("about", rf"(?<![a-z0-9.]){_amount('a')}\s*(?:左右|上下|or so)"),
        (
            "about",
            rf"(?<![a-z0-9])(?:around|about|approx(?:imately)?\.?|roughly|~|大约|大概|约)\s*{_amount('a')}{_END}",
        ),
    )
)
RELATIVE = (
    ("cheap", re.compile(r"\b(?:cheap|inexpensive|affordable|low[ -]cost|low[ -]price[d]?)\b|便宜的?|平价|实惠|低价")),
    (
        "dear",
        re.compile(r"\b(?:expensive|luxury|high[ -]end|premium quality)\b|高档|高端|奢华"),
    ),
)
SORTS = (
    ("price", re.compile(r"\b(?:cheapest|lowest price[ds]?|least expensive)\b|最便宜的?|价格最低的?|最低价")),
    ("price_desc", re.compile(r"\b(?:most expensive|highest price[ds]?)\b|最贵的?|价格最高的?")),
    ("newest", re.compile(r"\b(?:newest|latest|new arrivals?|just in)\b|最新款?的?|新品|新到")),
    (
        "best_selling",
        re.compile(r"\b(?:best[ -]?sell(?:ing|ers?)|most popular|top[ -]selling)\b|热销的?|畅销的?|爆款|卖得最好的?"),
    ),
)
STOCK = re.compile(r"\b(?:in stock|available now)\b|现货|有货")
REFUSED = re.compile(
    rf"(?:\b(?:without(?: an?| any)?|excluding|except(?: for)?|but no|but not|not|no)\s+|(?<=\s)-(?=[a-z]))"
    rf"(?P<en>[^\W\d_{HAN}][^\W_{HAN}]*)(?P<more>\s[^\W\d_{HAN}][^\W_{HAN}]*)?|(?P<how>不要|不含|不带|除了|没有|无)(?P<zh>[{HAN}a-z]+)"
)
FOR = re.compile(r"(?:\bfor (?:my |a |an |the )?(?P<en>[a-z]+(?:'s)?)\b)|(?P<zh>" + "|".join(CHINESE_AUDIENCE) + ")")
SIZE = re.compile(
    r"\bsize\s*:?\s*(?P<en>\d{1,3}(?:\.5)?|[2-6]?x{0,4}[sml])\b|尺码\s*(?P<zh>\d{2,3}|[2-6]?x{0,4}[sml])\b|(?<!\d)(?P<ma>\d{2,3})码"
)
LETTERED = re.compile(r"(?<![\w.-])(?P<x>x{1,4}[sl]|[2-6]xl)(?![\w.-])")
LABELS = {
    "en": {"under": "under {0}", "over": "over {0}", "about": "around {0}", "cheap": "low price", "dear": "high price"},
    "zh": {"under": "{0}以下", "over": "{0}以上", "about": "{0}左右", "cheap": "低价", "dear": "高价"},
}
LABELS["en"] |= {
    "without": "without {0}",
    "for": "for {0}",
    "size": "size {0}",
    "stock": "in stock",
    "price": "cheapest",
}
LABELS["zh"] |= {"without": "不要{0}", "for": "适合{0}", "size": "尺码{0}", "stock": "有货", "price": "最便宜"}
LABELS["en"] |= {"price_desc": "dearest", "newest": "newest", "best_selling": "best-selling"}
LABELS["zh"] |= {"price_desc": "最贵", "newest": "最新", "best_selling": "热销"}
