"""Photo files: found inside one folder, read with care, and as thumbnails for a network that learns from pixels."""

from __future__ import annotations

import logging
import re
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from shelfwise.errors import EncodingError
from shelfwise.models.recommender import Progress
from shelfwise.models.vectors import VectorCache, content_key

log = logging.getLogger(__name__)

MAX_PHOTO_BYTES = 64 << 20
MAX_PHOTO_PIXELS = 64_000_000  # a decompression bomb is refused before it is unpacked
SIDE = 224  # pixels: what EfficientNet-Lite0 was trained on
THUMBNAIL = 32  # pixels; divides SIDE
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_NAME = f"thumbnail-{THUMBNAIL}"  # of the cache's shelf: changes whenever the pixels would
_CHUNK = 1_024  # thumbnails read from the cache at once

Pixels = npt.NDArray[np.uint8]


def read_photo(photo: bytes | Path) -> Pixels:
    """uint8 [224, 224, 3]. Raises EncodingError naming the file: unreadable, truncated, not a photo, too large."""
    name = str(photo) if isinstance(photo, Path) else "photo"
    try:
        if isinstance(photo, Path):
            if photo.stat().st_size > MAX_PHOTO_BYTES:
                raise EncodingError(f"{name}: larger than {MAX_PHOTO_BYTES >> 20} MB; give a smaller photo")
            photo = photo.read_bytes()
        with Image.open(BytesIO(photo), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PHOTO_PIXELS:
                raise EncodingError(
                    f"{name}: {image.width} x {image.height} pixels; at most {MAX_PHOTO_PIXELS:,} are read"
                )
            image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is unpacked at a fraction of its size
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                layer = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            return np.asarray(upright.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    except _BROKEN as error:
        raise EncodingError(f"{name}: cannot be read as a photo ({error}); replace the file") from error


#: What Pillow's readers raise on hostile or torn files.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class Photos:
    """The photo files of one folder; what is wrong with them is logged and kept, never raised."""

    def __init__(self, folder: Path, problems: list[str] | None = None) -> None:
        self.folder = folder
        self.problems = problems

    def find(self, link: str | None) -> Path | None:
        if not link or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", link):
            return None
        try:
            path = (self.folder / link).resolve()
        except (OSError, ValueError, RuntimeError):
            path = None
        if path is None or not path.is_relative_to(self.folder):
            self._report(f"{link}: lies outside the shop's folder; copy the photo into it")
            return None
        return path

    def key(self, path: Path) -> bytes | None:
        try:
            if path.stat().st_size > MAX_PHOTO_BYTES:
                raise OSError(f"larger than {MAX_PHOTO_BYTES >> 20} MB")
            return content_key(path.read_bytes())
        except OSError as error:
            self._report(f"{path}: cannot be read as a photo ({error.strerror or error}); replace the file")
            return None

    def read(self, path: Path) -> Pixels | None:
        try:
            return read_photo(path)
        except EncodingError as error:
            self._report(str(error))
            return None

    def _report(self, problem: str) -> None:
        log.warning("%s", problem)
        if self.problems is not None:
            self.problems.append(problem)


def thumbnails(
    links: Sequence[str | None],
    folder: Path,
    cache: VectorCache,
    progress: Progress | None = None,
    *,
    threads: int = 1,
) -> Pixels | None:
    """uint8 [n, 32, 32, 3] of products' `image_link`s, black where there is no readable photo; None where none has one.

    Which links are photos, and what happens to those that cannot be read, is as `encode_products` has it. Made once a
    photo, 4 ms of one thread; memory is 3 kB a product.
    """
    photos = Photos(folder.resolve())
    rows: dict[bytes, list[int]] = {}
    paths: dict[bytes, Path] = {}
    keys: dict[Path, bytes | None] = {}
    for row, link in enumerate(links):
        path = photos.find(link)
        if path is None:
            continue
        key = keys[path] if path in keys else keys.setdefault(path, photos.key(path))
        if key is not None:
            rows.setdefault(key, []).append(row)
            paths.setdefault(key, path)
    if not rows:
        return None
    pixels = np.zeros((len(links), THUMBNAIL, THUMBNAIL, 3), np.uint8)
    every = list(rows)
    for start in range(0, len(every), _CHUNK):
        chunk = every[start : start + _CHUNK]
        # float16, in which the cache keeps its numbers, holds every integer to 2,048.
        kept, cached = cache.get(_NAME, chunk, pixels[0].size)
        missing = [chunk[place] for place in np.flatnonzero(~cached)]
        with ThreadPoolExecutor(threads) as pool:  # Pillow lets go of the interpreter lock
            made = list(pool.map(lambda key: _made(photos, paths[key]), missing))
        good = {key: small for key, small in zip(missing, made, strict=True) if small is not None}
        if good:
            cache.put(_NAME, list(good), np.stack(list(good.values())).reshape(len(good), -1).astype(np.float32))
            for key, small in good.items():
                pixels[rows[key]] = small
        for place in np.flatnonzero(cached):
            pixels[rows[chunk[place]]] = kept[place].reshape(pixels.shape[1:]).astype(np.uint8)
        if progress:
            progress(start + len(chunk), len(every), "thumbnails made")
    return pixels


def _made(photos: Photos, path: Path) -> Pixels | None:
    photo = photos.read(path)
    return None if photo is None else thumbnail(photo)


def thumbnail(photo: Pixels) -> Pixels:
    """uint8 [32, 32, 3] of uint8 [224, 224, 3]: means of squares."""
    step = SIDE // THUMBNAIL
    squares = photo.reshape(THUMBNAIL, step, THUMBNAIL, step, 3)
    small: Pixels = np.rint(squares.mean((1, 3))).astype(np.uint8)
    return small
