# ruff: noqa: E501 (the table of headings is wide)
"""PrestaShop's product list and import file, in its languages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shelfwise.errors import UnreadableFile
from shelfwise.intake.reading import Row
from shelfwise.intake.sheet import Rows, Sheet, plain, roles
from shelfwise.intake.states import parse_availability

NAMES = {
    "id": "Product ID|Product ID *|ID|Produkt-ID|Artikel-ID|ID produit|ID del producto|ID prodotto",
    "active": "Active (0/1)|Active|Status|Enabled|Aktiv (0/1)|Status (0/1)|Actif (0/1)|État|Etat|Activo (0/1)|Estado|Attivo (0/1)|Stato",
    "title": "Name *|Name|Nom *|Nom|Nombre *|Nombre|Nome *|Nome|Product Name",
    "categories": "Categories (x,y,z...)|Categories|Category|Kategorien (x,y,z...)|Kategorie|Kategorien|Catégories (x,y,z...)|Catégorie|Catégories|Categorías (x,y,z...)|Categoría|Categorie (x,y,z...)|Categoria",
    "gross": "Price tax included|Price (tax incl.)|Final price|Price tax incl.|Bruttopreis|Preis (inkl. MwSt.)|Preis inkl. MwSt.|Prix TTC|Prix (TTC)|Prix final|Precio con impuestos incluidos|Precio (imp. incl.)|Prezzo tasse incluse|Prezzo (tasse incl.)",
    "net": "Price tax excluded|Price (tax excl.)|Price|Base price|Nettopreis|Preis (zzgl. MwSt.)|Preis ohne MwSt.|Prix HT|Prix (HT)|Prix de base|Precio sin impuestos|Precio (imp. excl.)|Prezzo tasse escluse|Prezzo (tasse escl.)|Precio|Prezzo|Prix|Preis",
    "amount": "Discount amount|Rabattbetrag|Montant de la réduction|Montant de la remise|Importe de descuento|Importo sconto",
    "percent": "Discount percent|Rabatt in Prozent|Pourcentage de réduction|Pourcentage de la remise|Porcentaje de descuento|Percentuale sconto",
    "sale_start": "Discount from (yyyy-mm-dd)|Discount from|Rabatt von (JJJJ-MM-TT)|Réduction à partir du (aaaa-mm-jj)|Descuento desde (aaaa-mm-dd)|Sconto dal (aaaa-mm-gg)",
    "sale_end": "Discount to (yyyy-mm-dd)|Discount to|Rabatt bis (JJJJ-MM-TT)|Réduction jusqu'au (aaaa-mm-jj)|Descuento hasta (aaaa-mm-dd)|Sconto al (aaaa-mm-gg)",
    "reference": "Reference #|Reference|Reference No.|Référence n°|Référence #|Referencia #|Riferimento #|Riferimento n°|Artikel-Nr. #|Artikel-Nr.|Artikelnummer|Référence|Référence interne|Referencia|Referencia nº|Riferimento",
    "brand": "Manufacturer|Brand|Marke|Hersteller|Marque|Fabricant|Marca|Fabricante|Produttore",
    "gtin": "EAN13|EAN-13|EAN-13 or JAN barcode|EAN",
    "upc": "UPC",
    "mpn": "MPN",
    "quantity": "Quantity|Menge|Anzahl|Quantité|Cantidad|Quantità",
    "policy": "Out of stock action|Out of stock|Action when out of stock|Verhalten bei fehlendem Lagerbestand|En cas de rupture de stock|Acción sin existencias",
    "order": "Available for order (0 = No, 1 = Yes)|Available for order|Bestellbar (0 = Nein, 1 = Ja)|Disponible à la vente (0 = Non, 1 = Oui)|Disponible para pedidos (0 = No, 1 = Si)",
    "visibility": "Visibility|Sichtbarkeit|Visibilité|Visibilidad|Visibilità",
    "short": "Summary|Short description|Kurzbeschreibung|Zusammenfassung|Résumé|Récapitulatif|Resumen|Riepilogo",
    "description": "Description|Beschreibung|Descripción|Descrizione",
    "tags": "Tags (x,y,z...)|Tags|Mots-clés (x,y,z...)|Etiquetas (x,y,z...)|Tag (x,y,z...)",
    "images": "Image URLs (x,y,z...)|Image URLs|Bild-URLs (x,y,z...)|URL des images (x,y,z...)|URL de las imágenes (x,y,z...)|URL immagini (x,y,z...)|Image|Bild|Imagen|Immagine",
    "created": "Product creation date|Erstellungsdatum|Date de création du produit|Fecha de creación del producto",
    "features": "Feature (Name:Value:Position:Customized)|Feature(Name:Value:Position)|Feature (Name:Value:Position)|Eigenschaft (Name:Wert:Position)|Caractéristique (Nom:Valeur:Position)|Características (Nombre:Valor:Posición)",
}  # fmt: skip
_ROOTS = frozenset(("", "home", "accueil", "start", "startseite", "inicio", "root", "strona główna", "início"))
_BOOKKEEPING = re.compile(
    r"tax|meta|rewritten|text when|show price|delete existing|ecotax|wholesale|on sale|minimal|supplier|advanced stock|depends on|warehouse|id / name|additional shipping|unit|virtual|file|expiration|number of|uploadable|position|alt text|accessories",
    re.IGNORECASE,
)


def is_export(header: Iterable[str]) -> bool:
    header = list(header)
    names = {plain(name) for name in header}
    if any(name.startswith("attribute (name") for name in names):
        return "product id" in " ".join(names)
    columns = roles(header, NAMES)
    typical = ("reference", "net", "gross", "active", "quantity")
    headed = plain(next(iter(header), "")) in {plain(name) for name in NAMES["id"].split("|")}
    own = any("(0/1)" in name or "(x,y,z" in name for name in header)  # as only the import file writes
    least = 3 if own else 4
    return headed and {"id", "title", "active"} <= columns.keys() and sum(role in columns for role in typical) >= least


def rows(sheet: Sheet) -> Rows:
    if any(plain(name).startswith("attribute (name") for name in sheet.header):
        raise UnreadableFile(
            sheet.path,
            "is PrestaShop's file of combinations, which names no products; load the file of products",
            line=1,
        )
    for line, row in sheet.rows():
        yield line, _fields(sheet, row), row


def _fields(sheet: Sheet, row: Row) -> Row:
    fields = sheet.fields(row, id="id", title="title", brand="brand", mpn="mpn", created="created", sku="reference")
    if "gtin" in sheet or "upc" in sheet:
        fields["gtin"] = sheet.text(row, "gtin") or sheet.text(row, "upc")
    price = sheet.text(row, "gross") or sheet.text(row, "net")
    if "gross" in sheet or "net" in sheet:
        fields["price"] = price
    amount, percent = _number(sheet.text(row, "amount")), _number(sheet.text(row, "percent"))
    if "amount" in sheet or "percent" in sheet:
        full = _number(price)
        lowered = full - amount if amount > 0 else full * (1 - percent / 100) if percent > 0 else 0.0
        fields["sale_price"] = f"{lowered:.2f}" if full > 0 and 0 < lowered < full else ""
        for field in ("sale_start", "sale_end"):
            if field in sheet:
                text = sheet.text(row, field)
                fields[field] = "" if text.startswith("0000") else text
    if "categories" in sheet:
        paths = [path.strip() for path in sheet.text(row, "categories").split(",")]
        first = next((path for path in paths if path.casefold() not in _ROOTS), paths[0])
        fields["product_type"] = " > ".join(level.strip() for level in first.split("/")) if "/" in first else first
    if "description" in sheet or "short" in sheet:
        texts = dict.fromkeys(sheet.text(row, role) for role in ("short", "description"))
        fields["description"] = "\n".join(text for text in texts if text)
    if "images" in sheet:
        links = [link.strip() for link in sheet.text(row, "images").split(",") if link.strip()]
        fields["image_link"] = links[0] if links else ""
        if links[1:]:
            fields["additional_image_link"] = " | ".join(links[1:])
    if "active" in sheet:
        fields["status"] = sheet.text(row, "active")
    if "visibility" in sheet:
        fields["visibility"] = sheet.text(row, "visibility")
    if "quantity" in sheet or "order" in sheet:
        fields["availability"] = _availability(sheet, row)
    if tags := sheet.text(row, "tags"):
        fields["tags"] = " | ".join(tag.strip() for tag in tags.split(",") if tag.strip())
    for feature in sheet.text(row, "features").split(","):
        name, colon, value = feature.partition(":")
        if colon and name.strip() and value.strip():
            fields.setdefault(name.strip(), value.split(":")[0].strip())
    for column, value in sheet.rest(row).items():
        if not _BOOKKEEPING.search(column):
            fields.setdefault(column, value)
    return fields


def _number(text: str) -> float:
    digits = re.sub(r"[^\d.,]", "", text).replace(",", ".")
    try:
        return float(digits) if digits.count(".") <= 1 and digits else 0.0
    except ValueError:
        return 0.0


def _availability(sheet: Sheet, row: Row) -> str:
    if sheet.text(row, "order") == "0":
        return "out of stock"
    quantity = sheet.text(row, "quantity")
    known = parse_availability(quantity) if quantity else None
    if known is not None and known.value == "out_of_stock" and sheet.text(row, "policy") == "1":
        return "backorder"
    return quantity
