"""Product photos that come with a feed: found inside its folder only, and looked at before they are believed."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

MAX_BYTES = 64_000_000
MAX_PIXELS = 50_000_000
_ACCEPTED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


class Photos:
    """Resolves the image links of one feed against `folder`. Each file is looked at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._judged: dict[Path, str] = {}

    def find(self, link: str) -> tuple[str, str]:
        """(the link to keep, what is wrong or ""). Web addresses are kept as they are; a local path becomes an
        absolute one when it is a whole image inside the folder, else ""."""
        if not link or link.lower().startswith(("http://", "https://", "//")):
            return link, ""
        if "://" in link or "\x00" in link:
            return "", "is neither a web address nor a path"
        try:
            path = (self.folder / link).resolve()
        except (OSError, RuntimeError, ValueError):
            return "", "is no usable path"
        if not path.is_relative_to(self.folder):
            return "", "leads out of the feed's folder"
        if path not in self._judged:
            self._judged[path] = problem_of(path)
        problem = self._judged[path]
        return ("" if problem else str(path)), problem


def problem_of(path: Path) -> str:
    """What is wrong with an image file, or "". Decodes all of it (JPEGs at a fraction of their size)."""
    try:
        if not path.is_file():
            return "is missing"
        size = path.stat().st_size
        if size == 0:
            return "is empty"
        if size > MAX_BYTES:
            return f"has {size:,} bytes; at most {MAX_BYTES:,} are read"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own warning of large images; the size is judged below
            with Image.open(path, formats=_ACCEPTED) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    return f"has {width:,} × {height:,} pixels; at most {MAX_PIXELS:,} are decoded"
                image.draft("RGB", (64, 64))
                image.load()
    except UnidentifiedImageError:
        return "is not an image"
    except Image.DecompressionBombError:
        return "is a decompression bomb"
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        return f"is cut off or damaged ({str(error)[:80]})"
    return ""
