# ruff: noqa: E501 (the table of headings is wide)
"""WooCommerce's own product export, in any of its languages: variations point to their parents by SKU or `id:NN`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shelfwise.intake.reading import Row
from shelfwise.intake.sheet import Rows, Sheet, roles
from shelfwise.intake.states import parse_availability

NAMES = {
    "id": "ID",
    "type": "Type|Typ|Tipo|类型|類型|タイプ|Тип|Rodzaj",
    "sku": "SKU|UGS|Artikelnummer|Артикул|商品編號",
    "gtin": "GTIN, UPC, EAN, or ISBN|GTIN, UPC, EAN oder ISBN|GTIN, UPC, EAN ou ISBN|GTIN, UPC, EAN o ISBN|GTIN, UPC, EAN of ISBN|GTIN、UPC、EAN 或 ISBN",
    "title": "Name|Nom|Nombre|Nome|Naam|Nazwa|名称|名稱|名前|Имя|Наименование",
    "published": "Published|Veröffentlicht|Publié|Publicado|Pubblicato|Gepubliceerd|Opublikowano|已发布|已發佈|公開済み|公開|Опубликован",
    "visibility": "Visibility in catalog|Visibility in catalogue|Sichtbarkeit im Katalog|Visibilité dans le catalogue|Visibilidad en el catálogo|Visibilità nel catalogo|Zichtbaarheid in catalogus|Visibilidade no catálogo|Widoczność w katalogu|目录可见性|在列表页可见|カタログでの表示|カタログでの可視性|Видимость в каталоге",
    "short": "Short description|Kurzbeschreibung|Description courte|Descripción corta|Breve descrizione|Korte beschrijving|Descrição curta|Krótki opis|简短描述|簡短說明|簡単な説明|Краткое описание",
    "description": "Description|Beschreibung|Descripción|Descrizione|Beschrijving|Descrição|Opis|描述|說明|説明|Описание",
    "sale_start": "Date sale price starts|Datum, an dem Angebotspreis beginnt|Date de début de promo|Día en que empieza el precio rebajado|Data di inizio del prezzo in offerta|Startdatum actieprijs|Data de início da promoção|促销开始日期|セール価格開始日",
    "sale_end": "Date sale price ends|Datum, an dem Angebotspreis endet|Date de fin de promo|Día en que termina el precio rebajado|Data di fine del prezzo in offerta|Einddatum actieprijs|Data de término da promoção|促销截止日期|促销结束日期|セール価格終了日",
    "in_stock": "In stock?|Vorrätig?|Auf Lager?|En stock ?|¿Existencias?|¿En inventario?|¿Hay existencias?|In stock|Op voorraad?|Em estoque?|Na stanie?|有货?|有貨?|在庫あり?|在庫あり|Наличие",
    "stock": "Stock|Lager|Lagerbestand|Bestand|Inventario|Existencias|Magazzino|Voorraad|Estoque|Stan magazynowy|库存|庫存|在庫|Запасы",
    "backorders": "Backorders allowed?|Lieferrückstände erlaubt?|Autoriser les commandes de produits en rupture ?|¿Permitir reservas de productos agotados?|Abilita gli ordini arretrati?|Nabestellingen toestaan?|São permitidas encomendas?|允许延期交货?|允许缺货下单?|取り寄せを許可?|お取り寄せを許可?",
    "sale_price": "Sale price|Angebotspreis|Tarif promo|Precio rebajado|Prezzo in offerta|Actieprijs|Preço promocional|Cena promocyjna|促销价|促销价格|折扣價|セール価格|Акционная цена",
    "price": "Regular price|Regulärer Preis|Tarif régulier|Precio normal|Prezzo di listino|Reguliere prijs|Preço|Cena podstawowa|常规售价|原价|正常价格|一般價格|通常価格|Базовая цена",
    "categories": "Categories|Kategorien|Catégories|Categorías|Categorie|Categorieën|Categorias|Kategorie|分类|類別|分類|カテゴリー|カテゴリ|Категории",
    "tags": "Tags|Schlagwörter|Étiquettes|Etiquetas|Tag|Tagi|标签|標籤|タグ|Метки",
    "images": "Images|Bilder|Imágenes|Immagini|Afbeeldingen|Imagens|Obrazki|图片|圖片|画像|Изображения",
    "parent": "Parent|Übergeordnetes Produkt|Eltern|Superior|Principal|Padre|Genitore|Hoofd|Ascendente|Nadrzędny|父级|上層|親|Родительский",
    "brand": "Brands|Brand|Marken|Marke|Marques|Marcas|Marchi|Merken|品牌|ブランド|Бренды",
}  # fmt: skip
_OWN = ("type", "published", "visibility", "price", "in_stock", "sku", "parent", "sale_start", "categories")
_ATTRIBUTE = re.compile(
    r"^(?:attribute?|attribut|atributo|attributo|kenmerk|eigenschap|属性|屬性|атрибут)\s*(\d+)\s*(.*)$", re.IGNORECASE
)
_ATTRIBUTE_TURNED = re.compile(
    r"^(.*?)\s*(?:de l.attribut|del atributo|attributo|attribut|属性|屬性|атрибута?)\s*(\d+)\s*$", re.IGNORECASE
)
_NAME = ("name", "nom", "nombre", "nome", "naam", "名称", "名稱", "名前", "имя", "")
_VALUE = ("value", "wert", "valeur", "valor", "valore", "waarde", "值", "値", "значени")
_BOOKKEEPING = re.compile(
    r"featured|tax |steuer|low stock|sold individually|reviews|purchase note|shipping class|download|upsell|cross-sell|position|button|grouped|external url|visible|global|swatches|meta:",
    re.IGNORECASE,
)


def is_export(header: Iterable[str]) -> bool:
    columns = roles(header, NAMES)
    return (
        "type" in columns
        and ("published" in columns or "visibility" in columns)
        and len(set(_OWN) & columns.keys()) >= 5
    )


def rows(sheet: Sheet) -> Rows:
    """Variations inherit what they lack from their parent, which is not sold beside them."""
    attributes = _attribute_columns(sheet.header)
    parents: dict[str, Row] = {}
    children: set[str] = set()
    by_sku: dict[str, str] = {}
    for _, row in sheet.rows():
        name = sheet.text(row, "id") or sheet.text(row, "sku")
        if _kind(sheet, row) == "variation":
            children.add(sheet.text(row, "parent"))
        elif "variable" in _kind(sheet, row):
            parents[name] = row
            if sku := sheet.text(row, "sku"):
                by_sku[sku] = name
    wanted = {_parent(reference, by_sku) for reference in children}
    for line, row in sheet.rows():
        kind = _kind(sheet, row)
        name = sheet.text(row, "id") or sheet.text(row, "sku")
        if name in wanted and name in parents and kind != "variation":
            why = "a parent whose variations are sold; joined to them"
            sheet.findings.add("joined_parent", "joined", why, [(line, sheet.text(row, "title"))])
            continue
        parent: Row | None = None
        group = ""
        if kind == "variation":
            group = _parent(sheet.text(row, "parent"), by_sku)
            parent = parents.get(group)
            if parent is None:
                why = "a variation whose parent is not in the file; kept by itself"
                sheet.findings.add("no_parent", "flagged", why, [(line, f"{name}: {sheet.text(row, 'parent')}")])
        yield line, _fields(sheet, row, name, parent, group, attributes), row


def _kind(sheet: Sheet, row: Row) -> str:
    """Of "variation, downloadable, virtual" the first word."""
    return sheet.text(row, "type").casefold().split(",")[0].strip()


def _parent(reference: str, by_sku: dict[str, str]) -> str:
    return reference[3:].strip() if reference.startswith("id:") else by_sku.get(reference, reference)


def _fields(
    sheet: Sheet, row: Row, name: str, parent: Row | None, group: str, attributes: dict[int, dict[str, str]]
) -> Row:
    fields = sheet.fields(row, title="title", brand="brand", gtin="gtin", price="price", sale_price="sale_price")
    fields |= sheet.fields(row, sale_start="sale_start", sale_end="sale_end")
    fields["id"] = name

    def inherited(role: str) -> str:
        return sheet.text(row, role) or ("" if parent is None else sheet.text(parent, role))

    for field, role in (("title", "title"), ("brand", "brand")):
        if role in sheet:
            fields[field] = inherited(role)
    if "description" in sheet or "short" in sheet:
        texts = dict.fromkeys(_unescaped(inherited(role)) for role in ("short", "description"))
        fields["description"] = "\n".join(text for text in texts if text)
    if "categories" in sheet:
        fields["product_type"] = _category(inherited("categories"))
    if "images" in sheet:
        links = [link.strip() for link in inherited("images").split(",") if link.strip()]
        fields["image_link"] = links[0] if links else ""
        if links[1:]:
            fields["additional_image_link"] = " | ".join(links[1:])
    if "parent" in sheet or group:
        fields["item_group_id"] = group
    if "in_stock" in sheet or "stock" in sheet:
        fields["availability"] = _availability(sheet, row)
    if "published" in sheet:
        fields["published"] = _least(
            sheet.text(row, "published"), "" if parent is None else sheet.text(parent, "published")
        )
    if "visibility" in sheet:
        own = sheet.text(row, "visibility")
        fields["visibility"] = sheet.text(parent, "visibility") if parent is not None else own
    if sheet.text(row, "sku") and sheet.text(row, "sku") != name:
        fields["sku"] = sheet.text(row, "sku")
    if "tags" in sheet and inherited("tags"):
        fields["tags"] = " | ".join(tag.strip() for tag in inherited("tags").split(",") if tag.strip())
    skip = {column for columns in attributes.values() for column in columns.values()}
    for place in attributes.values():
        label = str(row.get(place.get("name", "")) or "").strip()
        value = str(row.get(place.get("value", "")) or "").strip()
        if label and value:
            fields.setdefault(
                label, " | ".join(part.strip() for part in re.split(r"(?<!\\),", value)).replace("\\,", ",")
            )
    for column, value in sheet.rest(row, skip).items():
        if not _BOOKKEEPING.search(column):
            fields.setdefault(column, value)
    return fields


def _least(own: str, parents: str) -> str:
    """What hides the parent hides its variations."""
    hides = ("0", "-1")
    return parents if parents.strip() in hides and own.strip() not in hides else own


def _availability(sheet: Sheet, row: Row) -> str:
    word, stock = sheet.text(row, "in_stock"), sheet.text(row, "stock")
    if word.casefold() == "backorder":
        return "backorder"
    if not word:
        allowed = sheet.text(row, "backorders").casefold()
        known = parse_availability(stock) if stock else None
        if known is not None and known.value == "out_of_stock" and allowed in ("1", "notify", "yes"):
            return "backorder"
    return word or stock


def _unescaped(text: str) -> str:
    r"""The export writes line ends as \n."""
    return text.replace("\\n", "\n").replace("\\,", ",")


def _category(text: str) -> str:
    r"""The first of the paths; a comma within a name is written \,"""
    first = re.split(r"(?<!\\),", text)[0]
    return first.replace("\\,", ",").strip()


def _attribute_columns(header: Iterable[str]) -> dict[int, dict[str, str]]:
    """Number of the attribute → {name, value} → column."""
    columns: dict[int, dict[str, str]] = {}
    for column in header:
        match = _ATTRIBUTE.match(column.strip())
        turned = None if match else _ATTRIBUTE_TURNED.match(column.strip())
        if match:
            number, part = int(match.group(1)), match.group(2)
        elif turned:
            number, part = int(turned.group(2)), turned.group(1)
        else:
            continue
        part = part.strip().casefold()
        role = "value" if any(word in part for word in _VALUE) else "name" if part in _NAME else part
        columns.setdefault(number, {})[role] = column
    return columns
