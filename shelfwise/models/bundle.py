"""The bundle: everything learned, in one folder that is checked when read and never changed once written.

    20260123-101112-1a2b/
      manifest.json            format, version, what it was learned from, metrics, sha256 of every other file
      items.json               outside product ids and the names of categories, brands and groups
      products.safetensors     what is known of the products, and their vectors
      NAME.safetensors         one file an artefact: popularity, network, ranker …; no pickle anywhere

`ARTEFACTS` is open: whoever brings a new one registers how it is read, and every bundle can hold it. No customer
appears in a bundle. A version is written beside, flushed to disk and renamed into place, so that a kill leaves either
all of it or nothing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as write_tensors

from shelfwise.errors import BundleError
from shelfwise.models.alike import Alike
from shelfwise.models.complements import Complements
from shelfwise.models.content import ContentSpace
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.index import VectorIndex
from shelfwise.models.network import Network
from shelfwise.models.popularity import Popularity
from shelfwise.models.ranker import Ranker
from shelfwise.models.ratings import Ratings
from shelfwise.models.recommender import Items
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import Floats, IdMap
from shelfwise.models.taste import Taste
from shelfwise.models.transitions import Transitions

FORMAT = "shelfwise-bundle"
#: Raised by one when an older Shelfwise could no longer read what is written.
FORMAT_VERSION = 5
MANIFEST = "manifest.json"
_PRODUCTS, _ITEMS, _SUFFIX = "products.safetensors", "items.json", ".safetensors"
_FACTS = ("category", "brand", "group", "price", "created")
_MEND = "train again (`shelfwise train`) or go back (`shelfwise bundles rollback`)"

Tensors = Mapping[str, npt.NDArray[Any]]


class Artefact(Protocol):
    """What is learned and kept: arrays out, the same thing in by its reader in `ARTEFACTS`."""

    def tensors(self) -> dict[str, npt.NDArray[Any]]: ...


#: What a bundle may hold, by name, and how each is read back.
ARTEFACTS: dict[str, Callable[[Tensors], Artefact]] = {
    "popularity": Popularity.from_tensors,
    "repurchase": Repurchase.from_tensors,
    "cooccurrence": Cooccurrence.from_tensors,
    "ease": Ease.from_tensors,
    "transitions": Transitions.from_tensors,
    "complements": Complements.from_tensors,
    "network": Network.from_tensors,
    "vector_index": VectorIndex.from_tensors,
    "content": ContentSpace.from_tensors,
    "content_index": VectorIndex.from_tensors,
    "alike": Alike.from_tensors,
    "ratings": Ratings.from_tensors,
    "taste": Taste.from_tensors,
    "ranker": Ranker.from_tensors,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """Everything an engine needs besides the live catalogue. Immutable.

    items: the products learned from; a row of every array below is an inside id of it.
    facts: categories, brands, groups, prices, creation times of those products (no vectors).
    artefacts: what was learned, by its name in `ARTEFACTS`.
    item_vectors: float32 [n, d], the network's; content_vectors: float32 [n, dc] in the space `content`.
    until: seconds; the newest event learned from.
    learned: counts and time range of what was learned from. metrics: what evaluation measured. settings: as used.
    version: the folder's name, "" before it is saved.
    """

    items: IdMap
    facts: Items
    artefacts: Mapping[str, Any]
    item_vectors: Floats | None = None
    content_vectors: Floats | None = None
    until: int = 0
    learned: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""

    def __contains__(self, name: str) -> bool:
        return name in self.artefacts

    @property
    def popularity(self) -> Popularity:
        popularity: Popularity = self.artefacts["popularity"]
        return popularity

    @property
    def repurchase(self) -> Repurchase:
        repurchase: Repurchase = self.artefacts["repurchase"]
        return repurchase

    @property
    def cooccurrence(self) -> Cooccurrence:
        cooccurrence: Cooccurrence = self.artefacts["cooccurrence"]
        return cooccurrence

    @property
    def ease(self) -> Ease | None:
        return self.artefacts.get("ease")

    @property
    def network(self) -> Network | None:
        return self.artefacts.get("network")

    @property
    def ranker(self) -> Ranker | None:
        return self.artefacts.get("ranker")

    @property
    def content(self) -> ContentSpace | None:
        return self.artefacts.get("content")

    @property
    def taste(self) -> Taste | None:
        return self.artefacts.get("taste")

    @property
    def vector_index(self) -> VectorIndex | None:
        return self.artefacts.get("vector_index")

    @property
    def content_index(self) -> VectorIndex | None:
        return self.artefacts.get("content_index")

    @property
    def alike(self) -> Alike | None:
        return self.artefacts.get("alike")

    @classmethod
    def make(cls, *, items: IdMap, features: Items, artefacts: Mapping[str, Any], **more: Any) -> Self:
        """Put what was fitted together: item vectors, the content space of `features`' text and image, and indexes.

        artefacts: by name; None is left out. more: until, learned, metrics, settings."""
        made = {name: artefact for name, artefact in artefacts.items() if artefact is not None}
        network: Network | None = made.get("network")
        vectors = content_vectors = None
        if network is not None:
            vectors = network.item_vectors()
            made["vector_index"] = VectorIndex.build(vectors, scale=network.spread)
        content = ContentSpace.fit(features.text, features.image)
        if content is not None:
            content_vectors = content.vectors(features.n, features.text, features.image)
            index = VectorIndex.build(content_vectors)
            made |= {"content": content, "content_index": index}
            made["alike"] = Alike.find(content_vectors, index, made["popularity"].order)
        return cls(
            items=items,
            facts=replace(features, text=None, image=None),
            artefacts=made,
            item_vectors=vectors,
            content_vectors=content_vectors,
            **more,
        )

    def with_artefacts(self, **changes: Any) -> Self:
        """The same with these artefacts in place of its own; None takes one away."""
        changed = {**self.artefacts, **changes}
        return replace(self, artefacts={name: each for name, each in changed.items() if each is not None})

    def save(self, folder: Path) -> None:
        """Write to `folder`, which must not exist yet. All or nothing."""
        if folder.exists():
            raise BundleError(f"{folder} exists; a bundle is never overwritten, choose another version")
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
        beside.mkdir()
        try:
            sums: dict[str, dict[str, Any]] = {}
            for name, data in self._files():
                sums[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
                durable_write(beside / name, data)
            manifest = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "version": folder.name,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "shelfwise": package_version("shelfwise"),
                "artefacts": list(self.artefacts),
                "until": self.until,
                "learned": dict(self.learned),
                "metrics": dict(self.metrics),
                "settings": dict(self.settings),
                "files": sums,
            }
            durable_write(beside / MANIFEST, json_bytes(manifest))
            flush_folder(beside)
            beside.rename(folder)
            flush_folder(folder.parent)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check a bundle. Raises BundleError when it is absent, foreign, too new or corrupt."""
        manifest = read_manifest(folder)
        for name in manifest["files"]:
            if Path(name).name != name:
                raise BundleError(f"{folder}: the manifest names a file outside the bundle ({name!r}); do not use it")

        def read(name: str) -> bytes:
            checksum = manifest["files"].pop(name)["sha256"]
            try:
                data = (folder / name).read_bytes()
            except OSError as error:
                raise BundleError(f"{folder / name} cannot be read ({error}); {_MEND}") from None
            if hashlib.sha256(data).hexdigest() != checksum:
                raise BundleError(f"{folder / name} is damaged (its checksum differs from the manifest's); {_MEND}")
            return data

        try:
            bundle = cls._read(read, manifest)
            for name in list(manifest["files"]):  # of artefacts unknown here
                read(name)
            return bundle
        except (KeyError, ValueError, TypeError, IndexError, SafetensorError) as error:
            raise BundleError(f"{folder}: incomplete or foreign ({type(error).__name__}: {error}); {_MEND}") from None

    def _files(self) -> Iterator[tuple[str, bytes]]:
        """One file after the other, so that only one is held in memory."""
        facts = self.facts
        names = {
            "ids": self.items.outside,
            "category_names": facts.category_names,
            "brand_names": facts.brand_names,
            "group_names": facts.group_names,
        }
        yield _ITEMS, json_bytes(names)
        products = {name: value for name in _FACTS if (value := getattr(facts, name)) is not None}
        if self.item_vectors is not None and self.network is None:
            products["item_vectors"] = self.item_vectors  # a network keeps its own
        if self.content_vectors is not None:
            products["content_vectors"] = self.content_vectors.astype(np.float16)
        yield _PRODUCTS, write_tensors({name: np.ascontiguousarray(value) for name, value in products.items()})
        for name, artefact in self.artefacts.items():
            tensors = {key: np.ascontiguousarray(value) for key, value in artefact.tensors().items()}
            yield name + _SUFFIX, write_tensors(tensors)

    @classmethod
    def _read(cls, read: Callable[[str], bytes], manifest: Mapping[str, Any]) -> Self:
        """One file after the other, so that only one is held in memory."""
        names: dict[str, Any] = orjson.loads(read(_ITEMS))
        items = IdMap(names.pop("ids"))
        products: dict[str, Any] = dict(read_tensors(read(_PRODUCTS)))
        content_vectors, item_vectors = products.pop("content_vectors", None), products.pop("item_vectors", None)
        # What this version does not know was brought by an extension that is not loaded; its source is not either.
        artefacts = {
            name: ARTEFACTS[name](read_tensors(read(name + _SUFFIX)))
            for name in manifest["artefacts"]
            if name in ARTEFACTS
        }
        network: Any = artefacts.get("network")
        bundle = cls(
            items=items,
            facts=Items(n=len(items), **products | {name: tuple(texts) for name, texts in names.items()}),
            artefacts=artefacts,
            item_vectors=item_vectors if network is None else network.item_vectors(),
            content_vectors=None if content_vectors is None else content_vectors.astype(np.float32),
            until=int(manifest["until"]),
            learned=manifest["learned"],
            metrics=manifest["metrics"],
            settings=manifest["settings"],
            version=str(manifest["version"]),
        )
        for name in ("popularity", "repurchase", "cooccurrence"):
            artefacts[name]  # without these there is no answer
        for name, rows in (("item_vectors", bundle.item_vectors), ("content_vectors", bundle.content_vectors)):
            if rows is not None and len(rows) != len(items):
                raise ValueError(f"{name} has {len(rows)} rows for {len(items)} products")
        return bundle


def read_manifest(folder: Path) -> dict[str, Any]:
    """A bundle's manifest, its format checked but not its files. Raises BundleError."""
    path = folder / MANIFEST
    try:
        manifest = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{folder} is no bundle ({error}); {_MEND}") from None
    except orjson.JSONDecodeError as error:
        raise BundleError(f"{path} is damaged ({error}); {_MEND}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path} was not written by Shelfwise; {_MEND}")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise BundleError(
            f"{folder} has format {manifest.get('format_version')}, this Shelfwise reads {FORMAT_VERSION}; "
            "upgrade Shelfwise or train again"
        )
    missing = {"version", "created", "files", "artefacts", "until", "learned", "metrics", "settings"} - manifest.keys()
    if missing or not isinstance(manifest["files"], dict):
        raise BundleError(f"{path} lacks {', '.join(sorted(missing)) or 'its files'}; {_MEND}")
    return manifest


def json_bytes(value: Any) -> bytes:
    """Indented JSON; arrays and dates too."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str)


def durable_write(path: Path, data: bytes) -> None:
    """Write a file and force it to disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make a rename in this folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
