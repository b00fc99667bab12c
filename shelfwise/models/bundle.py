"""The bundle: everything learned, in one folder that is checked when read and never changed once written.

    bundles/
      current                  which version serves, and which served before (JSON; replaced atomically)
      20260123-101112-1a2b/
        manifest.json          format, version, what it was learned from, metrics, sha256 of every other file
        tensors.safetensors    network, vectors, neighbours, popularity, ranker …; no pickle anywhere
        items.json             outside product ids and the names of categories and brands
        behaviour.faiss, content.faiss

No customer appears in a bundle. A version is written beside, flushed to disk and renamed into place, so that a
kill leaves either all of it or nothing; the pointer moves the same way.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as write_tensors

from shelfwise.errors import BundleError
from shelfwise.models.alike import Alike
from shelfwise.models.content import ContentSpace
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.index import VectorIndex
from shelfwise.models.popularity import Popularity
from shelfwise.models.ranker import Ranker
from shelfwise.models.recommender import Items
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import Floats, IdMap

if TYPE_CHECKING:
    from shelfwise.models.network import Network

FORMAT = "shelfwise-bundle"
#: Raised by one when an older Shelfwise could no longer read what is written.
FORMAT_VERSION = 4
MANIFEST = "manifest.json"
_TENSORS, _ITEMS = "tensors.safetensors", "items.json"
_INDEXES = ("behaviour", "content")

Arrays = Mapping[str, npt.NDArray[Any]]


class Part(Protocol):
    """What is learned and kept: arrays out, the same thing in (see each part's `tensors`, `from_tensors`)."""

    def tensors(self) -> dict[str, npt.NDArray[Any]]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """Everything an engine needs besides the live catalogue. Immutable.

    items: the products learned from; a row of every array below is an inside id of it.
    facts: categories, brands, prices, creation times of those products (no vectors).
    item_vectors: float32 [n, d], the network's; content_vectors: float32 [n, dc] in `content`'s space.
    behaviour_index, content_index: over these two. alike: what the second finds of popular products.
    until: seconds; the newest event learned from.
    learned: counts and time range of what was learned from. metrics: what evaluation measured. settings: as used.
    version: the folder's name, "" before it is saved.
    """

    items: IdMap
    facts: Items
    popularity: Popularity
    again: Repurchase
    cooccurrence: Cooccurrence
    ease: Ease | None = None
    network: Network | None = None
    ranker: Ranker | None = None
    item_vectors: Floats | None = None
    behaviour_index: VectorIndex | None = None
    content: ContentSpace | None = None
    content_vectors: Floats | None = None
    content_index: VectorIndex | None = None
    alike: Alike | None = None
    until: int = 0
    learned: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""

    @classmethod
    def make(
        cls,
        *,
        items: IdMap,
        features: Items,
        popularity: Popularity,
        again: Repurchase,
        cooccurrence: Cooccurrence,
        ease: Ease | None = None,
        network: Network | None = None,
        ranker: Ranker | None = None,
        until: int,
        learned: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Self:
        """Put fitted parts together: item vectors, the content space of `features`' text and image, and indexes."""
        vectors = None if network is None else np.ascontiguousarray(np.asarray(network.item_vectors(), np.float32))
        content = ContentSpace.fit(features.text, features.image)
        content_vectors = content_index = alike = None
        if content is not None:
            content_vectors = content.vectors(features.n, features.text, features.image)
            content_index = VectorIndex.build(content_vectors)
            alike = Alike.find(content_vectors, content_index, popularity.order)
        return cls(
            items=items,
            facts=replace(features, text=None, image=None),
            popularity=popularity,
            again=again,
            cooccurrence=cooccurrence,
            ease=ease,
            network=network,
            ranker=ranker,
            item_vectors=vectors,
            behaviour_index=None
            if vectors is None or network is None
            else VectorIndex.build(vectors, scale=network.spread.numpy()),
            content=content,
            content_vectors=content_vectors,
            content_index=content_index,
            alike=alike,
            until=until,
            learned=learned or {},
            metrics=metrics or {},
            settings=settings or {},
        )

    def save(self, folder: Path) -> None:
        """Write to `folder`, which must not exist yet. All or nothing."""
        if folder.exists():
            raise BundleError(f"{folder} exists; a bundle is never overwritten, choose another version")
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
        beside.mkdir()
        try:
            files = self._files()
            manifest = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "version": folder.name,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "shelfwise": package_version("shelfwise"),
                "parts": [name for name, part in self._parts().items() if part is not None],
                "until": self.until,
                "learned": dict(self.learned),
                "metrics": dict(self.metrics),
                "settings": dict(self.settings),
                "files": {
                    name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
                    for name, data in files.items()
                },
            }
            for name, data in files.items():
                _write(beside / name, data)
            _write(beside / MANIFEST, _json(manifest))
            _flush_folder(beside)
            beside.rename(folder)
            _flush_folder(folder.parent)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check a bundle. Raises BundleError when it is absent, foreign, too new or corrupt."""
        manifest = read_manifest(folder)
        files: dict[str, bytes] = {}
        for name, told in manifest["files"].items():
            if Path(name).name != name:
                raise BundleError(f"{folder}: the manifest names a file outside the bundle ({name!r}); do not use it")
            try:
                files[name] = (folder / name).read_bytes()
            except OSError as error:
                raise BundleError(f"{folder / name} cannot be read ({error}); {_MEND}") from None
            if hashlib.sha256(files[name]).hexdigest() != told["sha256"]:
                raise BundleError(f"{folder / name} is damaged (its checksum differs from the manifest's); {_MEND}")
        try:
            return cls._read(files, manifest)
        except (KeyError, ValueError, TypeError, IndexError, SafetensorError) as error:
            raise BundleError(f"{folder}: incomplete or foreign ({type(error).__name__}: {error}); {_MEND}") from None

    def _parts(self) -> dict[str, Part | None]:
        return {
            "popularity": self.popularity,
            "again": self.again,
            "cooccurrence": self.cooccurrence,
            "ease": self.ease,
            "network": self.network,
            "ranker": self.ranker,
            "content": self.content,
            "alike": self.alike,
        }

    def _files(self) -> dict[str, bytes]:
        tensors: dict[str, npt.NDArray[Any]] = {}
        for name, part in self._parts().items():
            if part is not None:
                tensors |= {f"{name}.{key}": np.ascontiguousarray(value) for key, value in part.tensors().items()}
        if self.item_vectors is not None and self.network is None:
            tensors["item_vectors"] = self.item_vectors  # a network keeps its own
        if self.content_vectors is not None:
            tensors["content_vectors"] = self.content_vectors.astype(np.float16)
        for name in _FACTS:
            value = getattr(self.facts, name)
            if value is not None:
                tensors[f"facts.{name}"] = np.ascontiguousarray(value)
        names = {
            "ids": self.items.outside,
            "category_names": self.facts.category_names,
            "brand_names": self.facts.brand_names,
        }
        files = {_TENSORS: write_tensors(tensors), _ITEMS: _json(names)}
        for name in _INDEXES:
            index: VectorIndex | None = getattr(self, f"{name}_index")
            if index is not None:
                files[f"{name}.faiss"] = index.to_bytes()
        return files

    @classmethod
    def _read(cls, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> Self:
        tensors = read_tensors(files[_TENSORS])
        names = orjson.loads(files[_ITEMS])
        parts: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for key, value in tensors.items():
            name, _, rest = key.partition(".")
            parts.setdefault(name, {})[rest] = value
        items = IdMap(names["ids"])
        network = None
        if "network" in parts:
            from shelfwise.models.network import Network  # torch takes a second to import; only here is it needed

            network = Network.from_tensors(parts["network"])
        content_vectors = tensors.get("content_vectors")
        bundle = cls(
            items=items,
            facts=Items(
                n=len(items),
                **parts.get("facts", {}),
                category_names=tuple(names["category_names"]),
                brand_names=tuple(names["brand_names"]),
            ),
            popularity=Popularity.from_tensors(parts["popularity"]),
            again=Repurchase.from_tensors(parts["again"]),
            cooccurrence=Cooccurrence.from_tensors(parts["cooccurrence"]),
            ease=Ease.from_tensors(parts["ease"]) if "ease" in parts else None,
            network=network,
            ranker=Ranker.from_tensors(parts["ranker"]) if "ranker" in parts else None,
            item_vectors=tensors.get("item_vectors") if network is None else network.item_vectors(),
            content=ContentSpace.from_tensors(parts["content"]) if "content" in parts else None,
            content_vectors=None if content_vectors is None else content_vectors.astype(np.float32),
            alike=Alike.from_tensors(parts["alike"]) if "alike" in parts else None,
            until=int(manifest["until"]),
            learned=manifest["learned"],
            metrics=manifest["metrics"],
            settings=manifest["settings"],
            version=str(manifest["version"]),
            **{
                f"{name}_index": VectorIndex.from_bytes(files[f"{name}.faiss"])
                for name in _INDEXES
                if f"{name}.faiss" in files
            },
        )
        for name in ("item_vectors", "content_vectors"):
            rows = getattr(bundle, name)
            if rows is not None and len(rows) != len(items):
                raise ValueError(f"{name} has {len(rows)} rows for {len(items)} products")
        return bundle


class Bundles:
    """The shop's bundles: write, choose, roll back. Safe to use from several processes: one file says which serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pointer = folder / "current"

    def add(self, bundle: Bundle, *, use: bool = True) -> str:
        """Keep as a new version, named by the time, and by default let it serve. Returns the version."""
        version = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        bundle.save(self.folder / version)
        if use:
            self.use(version)
        return version

    def load(self, version: str | None = None) -> Bundle:
        """That version, or the one that serves. Raises BundleError."""
        version = version or self.current()
        if version is None:
            raise BundleError(f"{self.folder} has no bundle yet; learn one with `shelfwise train`")
        return Bundle.load(self.folder / self._known(version))

    def list(self) -> list[dict[str, Any]]:
        """Every readable bundle, newest first: version, created, current (bool), learned, metrics."""
        current = self.current()
        found = []
        for path in sorted(self.folder.glob(f"*/{MANIFEST}"), reverse=True):
            if path.parent.name.startswith("."):
                continue
            try:
                manifest = read_manifest(path.parent)
            except BundleError:
                continue  # `load` and `use` tell what is wrong with it
            version = path.parent.name
            told = {key: manifest[key] for key in ("created", "learned", "metrics")}
            found.append({"version": version, "current": version == current} | told)
        return found

    def current(self) -> str | None:
        """The version that serves."""
        version = self._read_pointer()["current"]
        return None if version is None else str(version)

    def use(self, version: str) -> None:
        """Let this version serve, after reading all of it. Raises BundleError and changes nothing if it cannot."""
        Bundle.load(self.folder / self._known(version))
        pointer = self._read_pointer()
        if pointer["current"] == version:
            return
        before = [*pointer["before"], pointer["current"]] if pointer["current"] else pointer["before"]
        self._point({"current": version, "before": before[-50:]})

    def rollback(self) -> str:
        """Let the version that served before serve again; returns it. Raises BundleError if there is none."""
        pointer = self._read_pointer()
        before = list(pointer["before"])
        while before:
            version = before.pop()
            try:
                Bundle.load(self.folder / version)
            except BundleError:
                continue  # removed or damaged since: go further back
            self._point({"current": version, "before": before})
            return str(version)
        raise BundleError("there is no earlier bundle to return to; see `shelfwise bundles`")

    def stamp(self) -> tuple[int, int]:
        """Changes whenever another version was chosen; one stat call, so that a server can ask all the time."""
        try:
            status = self._pointer.stat()
        except FileNotFoundError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def _known(self, version: str) -> str:
        if Path(version).name != version or version.startswith(".") or not (self.folder / version).is_dir():
            known = ", ".join(info["version"] for info in self.list()) or "none"
            raise BundleError(f"no bundle is called {version!r}; there are: {known}")
        return version

    def _read_pointer(self) -> dict[str, Any]:
        try:
            found = orjson.loads(self._pointer.read_bytes())
        except FileNotFoundError:
            return {"current": None, "before": []}
        except (OSError, orjson.JSONDecodeError) as error:
            raise BundleError(
                f"{self._pointer} cannot be read ({error}); choose with `shelfwise bundles use`"
            ) from None
        if not isinstance(found, dict) or not isinstance(found.get("before"), list) or "current" not in found:
            raise BundleError(f"{self._pointer} is not Shelfwise's; remove it and choose with `shelfwise bundles use`")
        return found

    def _point(self, pointer: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".current.{secrets.token_hex(4)}"
        _write(beside, _json(pointer))
        beside.replace(self._pointer)
        _flush_folder(self.folder)


_FACTS = ("category", "brand", "price", "created")
_MEND = "train again (`shelfwise train`) or go back (`shelfwise bundles rollback`)"


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
    missing = {"version", "created", "files", "until", "learned", "metrics", "settings"} - manifest.keys()
    if missing or not isinstance(manifest["files"], dict):
        raise BundleError(f"{path} lacks {', '.join(sorted(missing)) or 'its files'}; {_MEND}")
    return manifest


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename in this folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
