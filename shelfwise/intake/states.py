# ruff: noqa: E501 (the tables of words are wide)
"""Availability and status as shops write them, in any language or as a number → as the vocabulary has them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TypeVar

from shelfwise.schema import Availability, Status

_State = TypeVar("_State", Availability, Status)
_SPACE = re.compile(r"[\s_\-]+")

#: Of spreadsheets and databases, for both.
_TRUE, _FALSE = (
    "t|wahr|vrai|verdadero|verdadeiro|vero|waar|prawda|sant|истина|真",
    "f|falsch|faux|falso|onwaar|fałsz|falskt|falsk|usant|ложь|假",
)
_AVAILABILITY: dict[Availability, str] = {
    Availability.IN_STOCK: """
        in stock|instock|available|availableforsale|available for sale|limited availability|limitedavailability|low stock|few left|yes|true|y|on|active|onlineonly|
        instoreonly|in store|ready to ship|ships today|on hand|x|ok|
        auf lager|lieferbar|sofort lieferbar|verfügbar|vorrätig|lagernd|am lager|sofort verfügbar|ja|wenige verfügbar|
        en stock|disponible|oui|disponibile|in magazzino|si|sì|sí|en existencia|en existencias|hay existencias|em estoque|em stock|disponível|sim|
        op voorraad|voorradig|leverbaar|beschikbaar|i lager|finns i lager|på lager|på lageret|varastossa|
        dostępny|w magazynie|na stanie|skladem|na skladě|na sklade|dostupné|raktáron|készleten|în stoc|in stoc|stokta|stokta var|mevcut|var|
        в наличии|есть в наличии|есть|да|є в наявності|в наявності|
        有货|有貨|现货|現貨|有库存|有庫存|在售|充足|库存充足|有|是|可售|
        在庫あり|在庫有り|在庫有|在庫わずか|残りわずか|あり|販売中|재고있음|재고 있음|판매중|있음|متوفر|במלאי|มีสินค้า|còn hàng|tersedia|διαθέσιμο""",
    Availability.OUT_OF_STOCK: """
        out of stock|outofstock|oos|unavailable|sold out|soldout|discontinued|not available|notavailable|no|false|n|off|none|out|no stock|temporarily unavailable|
        ausverkauft|nicht auf lager|nicht lieferbar|nicht verfügbar|nicht vorrätig|vergriffen|derzeit nicht verfügbar|nein|
        rupture|rupture de stock|en rupture|en rupture de stock|épuisé|indisponible|non disponible|non|hors stock|
        agotado|sin stock|sin existencias|no disponible|esaurito|non disponibile|esgotado|sem estoque|sem stock|indisponível|não|
        uitverkocht|niet op voorraad|niet leverbaar|nee|slut|slut i lager|utsolgt|udsolgt|ikke på lager|loppuunmyyty|
        niedostępny|brak|brak w magazynie|wyprzedany|vyprodáno|není skladem|vypredané|elfogyott|nincs készleten|stoc epuizat|tükendi|stokta yok|yok|
        нет в наличии|нет|распродано|продано|немає в наявності|
        缺货|缺貨|无货|無貨|售罄|售完|已售罄|已售完|断货|斷貨|无库存|無庫存|无|否|补货中|暂无库存|
        在庫なし|在庫無し|在庫切れ|品切れ|売り切れ|売切れ|完売|なし|품절|재고없음|재고 없음|일시품절|없음|غير متوفر|אזל|אזל מהמלאי|สินค้าหมด|hết hàng|habis|εξαντλημένο""",
    Availability.PREORDER: """
        preorder|pre order|presale|pre sale|coming soon|vorbestellbar|vorbestellung|precommande|précommande|preventa|reserva|prevendita|preordine|pré venda|
        przedsprzedaż|předobjednávka|предзаказ|预售|預售|预订|預購|预购|予約|予約受付中|予約販売|예약판매|예약""",
    Availability.BACKORDER: """
        backorder|back order|backordered|on backorder|onbackorder|available for order|available on request|notify|made to order|madetoorder|special order|
        nachbestellt|auf bestellung|lieferrückstand|auf anfrage|sur commande|en réapprovisionnement|bajo pedido|su ordinazione|sob encomenda|op bestelling|nalevering|
        na zamówienie|na objednávku|под заказ|接单|可订购|接受预订|取り寄せ|お取り寄せ|取寄せ|주문제작""",
}  # fmt: skip
_STATUS: dict[Status, str] = {
    Status.ACTIVE: """
        active|published|publish|enabled|enable|live|visible|online|on|yes|true|1|y|x|both|everywhere|catalog, search|catalogue, search|catalog search|shown|approved|buyable|listed|public|for sale|in stock|
        available|ok|aktiv|aktiviert|sichtbar|veröffentlicht|ja|actif|active|activé|publié|oui|activo|activa|publicado|visible|sí|si|30|attivo|attiva|pubblicato|visibile|ativo|sim|
        actief|gepubliceerd|zichtbaar|aktivní|aktywny|opublikowany|widoczny|активен|активный|опубликован|да|
        上架|已上架|启用|啟用|显示|顯示|在售|已发布|已發布|正常|是|公開|公開済み|公開中|販売中|表示|有効|판매중|공개|사용""",
    Status.DRAFT: """
        draft|pending|pending review|proposed|rejected|in review|review|auto draft|future|scheduled|unapproved|incomplete|in progress|not ready|new draft|entwurf|ausstehend|brouillon|en attente|
        borrador|pendiente|bozza|rascunho|concept|koncept|szkic|návrh|черновик|草稿|待审核|待審核|待上架|下書き|レビュー待ち|임시저장""",
    Status.ARCHIVED: """
        archived|archive|deleted|delete|trash|trashed|removed|discontinued|end of life|eol|retired|expired|archiviert|gelöscht|papierkorb|archivé|archivado|eliminado|archiviato|arquivado|
        gearchiveerd|verwijderd|archiwalny|zarchiwizowany|в архиве|архив|удалён|удален|已归档|归档|已删除|删除|停产|アーカイブ|削除|廃盤|보관""",
    Status.HIDDEN: """
        hidden|private|unpublished|unpublish|inactive|disabled|disable|invisible|not visible|not visible individually|catalog|catalogue|search|offline|off|no|false|0|1 hidden|n|none|nowhere|unlisted|password|
        password protected|protected|staging|whitelist only|suppressed|blocked|closed|not for sale|suspended|paused|web only hidden|
        inaktiv|deaktiviert|unsichtbar|versteckt|verborgen|nicht sichtbar|privat|nein|inactif|désactivé|caché|masqué|invisible|privé|non|inactivo|desactivado|oculto|privado|
        inattivo|disattivato|nascosto|privato|inativo|desativado|oculto|não|inactief|verborgen|nee|nieaktywny|ukryty|prywatny|skrytý|neaktivní|неактивен|скрыт|отключен|нет|
        下架|已下架|禁用|停用|隐藏|隱藏|不显示|不顯示|私密|未发布|未上架|否|仓库中|非公開|非表示|無効|休止|販売停止|판매중지|비공개|미사용|숨김""",
}  # fmt: skip


def _plain(text: str) -> str:
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).strip().casefold()).strip(" .!")


def _states(table: Mapping[_State, str], yes: _State, no: _State) -> dict[str, _State]:
    words = {**table, yes: f"{table[yes]}|{_TRUE}", no: f"{table[no]}|{_FALSE}"}
    return {_plain(word): state for state, said in words.items() for word in said.split("|")}


_AVAILABLE = _states(_AVAILABILITY, Availability.IN_STOCK, Availability.OUT_OF_STOCK)
_SHOWN = _states(_STATUS, Status.ACTIVE, Status.HIDDEN)
_NUMBER = re.compile(
    r"^[<>≥+~]?\s*(-?\d{1,9}(?:[.,]\d+)?)\s*(?:\+|pcs?|stk|stück|pieces?|units?|件|个|個|点|개|шт)?\.?$"
)

#: Of new and used things, in columns whose name may as well mean a status or the stock (estado, stan, Zustand).
_CONDITIONS = """
    new brand new|new|like new|used|as new|refurbished|renewed|reconditioned|open box|pre owned|preowned|second hand|secondhand|very good|good|acceptable|for parts|damaged|defective|
    neu|neuwertig|wie neu|gebraucht|generalüberholt|b ware|vorführer|vorführgerät|defekt|neuf|comme neuf|occasion|d'occasion|reconditionné|très bon état|bon état|état correct|
    nuevo|como nuevo|usado|seminuevo|reacondicionado|segunda mano|de segunda mano|nuovo|come nuovo|usato|ricondizionato|novo|seminovo|recondicionado|nieuw|zo goed als nieuw|gebruikt|tweedehands|gereviseerd|
    nowy|nowa|nowe|używany|używana|używane|jak nowy|odnowiony|odnowiona|powystawowy|uszkodzony|po zwrocie|nový|nová|nové|použitý|použité|použitá|bazar|repasovaný|zánovní|új|használt|felújított|nou|folosit|
    ny|nytt|begagnad|brugt|brukt|käytetty|uusi|новый|новая|новое|б/у|бу|восстановленный|новий|вживаний|全新|二手|九成新|翻新|新品|中古|未使用|再生品|新品未使用|새상품|중고|리퍼"""
_CONDITION = frozenset(map(_plain, _CONDITIONS.split("|")))
#: Columns whose name means a status, a condition or, of these, the stock: each word tells by itself.
LEVELS = frozenset(("stan", "stav", "stanje", "стан"))
AMBIGUOUS = LEVELS | frozenset(
    (
        "estado",
        "état",
        "etat",
        "stato",
        "zustand",
        "tilstand",
        "tillstånd",
        "állapot",
        "stare",
        "состояние",
        "状态",
        "状態",
        "상태",
    )
)


def level_in(column: str, text: str) -> str:
    """The stock that a column of LEVELS says, "" for any other word or column."""
    if column not in LEVELS or parse_availability(text) is None:
        return ""
    return text if _NUMBER.match(text.casefold()) or parse_status(text) is None else ""


def says_otherwise(column: str, text: str) -> bool:
    """Whether a column that may mean a status says new or used, or how many there are."""
    return column in AMBIGUOUS and (_plain(text) in _CONDITION or bool(level_in(column, text)))


#: Columns that say whether a product is sold only while stocks last.
_CLOSEOUT = frozenset(
    (
        "abverkauf",
        "abverkaufsartikel",
        "is_closeout",
        "closeout",
        "laststock",
        "only_while_stock_lasts",
        "nur_solange_vorrat_reicht",
    )
)


def sells_on(column: str, policy: str) -> bool:
    """Whether a product is sold beyond its stock: 'continue', 'notify', '1'; Klaviyo's inventory_policy 1 hides it."""
    policy = policy.casefold()
    if column in _CLOSEOUT or (column == "inventory_policy" and policy in ("0", "1")):
        return parse_availability(policy) is Availability.OUT_OF_STOCK
    return policy in ("continue", "notify", "2") or parse_availability(policy) is Availability.IN_STOCK


def parse_availability(text: str) -> Availability | None:
    """'In Stock', 'https://schema.org/InStock', 'auf Lager', '现货', '12', 'Y' → a state; None when it is no known word.

    A number is a quantity: 0 and below is out of stock."""
    word = _plain(text).rsplit("schema.org/", 1)[-1]
    known = _AVAILABLE.get(word)
    if known is not None:
        return known
    number = _NUMBER.match(unicodedata.normalize("NFKC", text).strip().casefold())
    if number is None:
        return None
    return Availability.IN_STOCK if float(number.group(1).replace(",", ".")) > 0 else Availability.OUT_OF_STOCK


def parse_status(text: str) -> Status | None:
    """'draft', 'Not Visible Individually', 'Entwurf', '下架', '0' → a status; None when it is no known word.

    Hidden from the catalogue or from search alone is hidden."""
    if text.strip() in ("-1", "-1.0"):  # WooCommerce: a draft
        return Status.DRAFT
    word = _plain(text)
    return _SHOWN.get(word.removesuffix(".0"))


#: Columns that say a product is hidden where they say yes, and those that do so by having any text.
INVERSE = frozenset(
    [
        "hidden",
        "is_hidden",
        "disabled",
        "is_disabled",
        "archived",
        "is_archived",
        "deleted",
        "is_deleted",
        "draft",
        "is_draft",
        "unlisted",
        "discontinued",
        "is_discontinued",
        "product_discontinued",
        "inactive",
        "is_inactive",
        "suspended",
        "is_suspended",
        "blocked",
        "is_blocked",
        "gesperrt",
        "ausgelaufen",
        "auslaufartikel",
        "archivé",
        "supprimé",
        "désactivé",
        "masqué",
    ]
)
FILLED = frozenset({"password", "post_password"})


def status_in(column: str, text: str) -> Status | None:
    """`parse_status` of a column whose name turns the meaning: hidden=1, password=any."""
    if not text.strip():
        return Status.ACTIVE
    if column in FILLED:
        return Status.HIDDEN
    if says_otherwise(column, text):
        return None
    status = parse_status(text)
    if column in INVERSE and status is not None:
        hides = {"archived": Status.ARCHIVED, "deleted": Status.ARCHIVED, "draft": Status.DRAFT}
        turned = hides.get(column.removeprefix("is_"), Status.HIDDEN)
        return turned if status is Status.ACTIVE else Status.ACTIVE
    return status


def hidden_most(states: list[Status]) -> Status:
    """Of several columns' words the one that hides."""
    return next((status for status in states if status is not Status.ACTIVE), Status.ACTIVE)
