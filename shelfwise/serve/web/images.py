"""Products' photos for pages: small ones made once from the shop's own files, and a calm tile where there is none.

A photo is only ever read from inside the shop's folder: a link to another host, or a path that leads out, is no photo.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from PIL import Image, ImageOps
from starlette.requests import Request
from starlette.responses import Response

from shelfwise.intake.images import Photos
from shelfwise.models.pictograms import FILE
from shelfwise.schema import Product, now
from shelfwise.serve.wire import Refused

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

SIZES = (96, 320, 640)  # pixels of the longer side
FOLDER = Path("cache") / "thumbnails"  # of the shop
_KEPT = "private, max-age=300"


def mount(app: FastAPI, service: Service) -> None:
    """Add the route of the photos."""

    async def image(request: Request) -> Response:
        id, size = request.path_params["id"], request.path_params["size"]
        if size not in map(str, SIZES):
            raise Refused(404, "not_found", f"photos come in the sizes {', '.join(map(str, SIZES))}")
        product = service.shop.store.product(id)
        if product is None:
            raise Refused(404, "unknown_product", f"no product has the id {id[:60]!r}")
        if product.offered(now()) is None:
            product = Product(id=product.id)  # its photo and name are nobody's but the merchant's
        body, kind = await asyncio.to_thread(picture, service.shop.folder, product, int(size))
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = {"etag": tag, "cache-control": _KEPT, "content-security-policy": "default-src 'none'"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

    app.add_api_route("/images/{id:path}/{size}", image, methods=["GET", "HEAD"], include_in_schema=False)


def picture(shop: Path, product: Product, size: int) -> tuple[bytes, str]:
    """(the photo of a product at most `size` pixels wide and high, or its tile; the media type)."""
    link = product.image_link
    if not link or link.lower().startswith(("http://", "https://", "//")):
        return tile(product, pictogram(shop, product.product_type)), "image/svg+xml"
    path = Path(link) if Path(link).is_absolute() else shop / link
    try:
        stamp = path.stat()
    except (OSError, ValueError):
        return tile(product, pictogram(shop, product.product_type)), "image/svg+xml"
    identity = f"{link}\0{stamp.st_mtime_ns}\0{stamp.st_size}".encode("utf-8", "surrogatepass")
    kept = shop / FOLDER / f"{hashlib.sha256(identity).hexdigest()[:32]}-{size}.webp"
    if not kept.exists():
        content, problem = Photos(shop).find(link)
        if problem or not content:
            return tile(product, pictogram(shop, product.product_type)), "image/svg+xml"
        with Image.open(content) as photo:
            photo.draft("RGB", (2 * size, 2 * size))
            small = ImageOps.exif_transpose(photo).convert("RGB")
            small.thumbnail((size, size), Image.Resampling.LANCZOS)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{secrets.token_hex(4)}")
        small.save(part, "WEBP", quality=82)
        part.replace(kept)
    return kept.read_bytes(), "image/webp"


def pictogram(shop: Path, category: str) -> str:
    """The emoji of a category (`Shop.train` finds them), "" for none."""
    path = shop / FILE
    try:
        return _read(path, path.stat().st_mtime_ns).get(category, "")
    except (OSError, ValueError):
        return ""


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> dict[str, str]:  # noqa: ARG001 - a new file is read anew
    pictures: dict[str, str] = json.loads(path.read_text("utf-8"))
    return pictures


def tile(product: Product, sign: str = "") -> bytes:
    """A square in a quiet colour of its own with a pictogram, or the first letter of the title."""
    hue = hashlib.sha256((product.product_type or product.id).encode("utf-8", "surrogatepass")).digest()[0] * 360 // 256
    size = 52 if sign else 40
    letter = sign or escape(next((c for c in product.title or product.id if c.isalnum()), "·").upper())
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">'
        f'<rect width="96" height="96" fill="hsl({hue},22%,86%)"/>'
        f'<text x="48" y="50" fill="hsl({hue},30%,30%)" font-family="sans-serif" font-size="{size}" font-weight="600" '
        f'text-anchor="middle" dominant-baseline="central">{letter}</text></svg>'
    ).encode("utf-8", "replace")
