"""The shop's bundles: one folder for each, and a pointer to the one that serves.

bundles/
  current                  which version serves, and which served before (JSON; replaced atomically)
  20260123-101112-1a2b/    see bundle.py
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from shelfwise.errors import BundleError
from shelfwise.models.bundle import MANIFEST, Bundle, durable_write, flush_folder, json_bytes, read_manifest


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

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest `keep` bundles, the one that serves and the one before it; returns what went."""
        pointer = self._read_pointer()
        needed = {pointer["current"], *pointer["before"][-1:]}
        versions = sorted(path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))
        gone = [name for name in versions[: max(len(versions) - keep, 0)] if name not in needed and name[0] != "."]
        for name in gone:
            hidden = self.folder / f".{name}.{secrets.token_hex(4)}"  # out of sight at once, whatever happens next
            (self.folder / name).rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)
        return gone

    def sweep(self) -> None:
        """Remove what a process that was killed left half written. For who alone writes bundles now."""
        for hidden in self.folder.glob(".*"):
            if hidden.is_dir():
                shutil.rmtree(hidden, ignore_errors=True)
            elif hidden.name.startswith(".current."):
                hidden.unlink(missing_ok=True)

    def load(self, version: str | None = None) -> Bundle:
        """That version, or the one that serves. Raises BundleError."""
        version = version or self.current()
        if version is None:
            raise BundleError(f"{self.folder} has no bundle yet; learn one with `shelfwise train`")
        return Bundle.load(self.folder / self._known(version))

    def list(self) -> list[dict[str, Any]]:
        """Every readable bundle, newest first: version, created, current (bool), learned, metrics."""
        current = self.pointed()
        bundles = []
        for path in sorted(self.folder.glob(f"*/{MANIFEST}"), reverse=True):
            if path.parent.name.startswith("."):
                continue
            try:
                manifest = read_manifest(path.parent)
            except BundleError:
                continue  # `load` and `use` tell what is wrong with it
            version = path.parent.name
            summary = {key: manifest[key] for key in ("created", "learned", "metrics")}
            bundles.append({"version": version, "current": version == current} | summary)
        return bundles

    def current(self) -> str | None:
        """The version that serves."""
        version = self._read_pointer()["current"]
        return None if version is None else str(version)

    def pointed(self) -> str:
        """As `current`, "" for none, "?" where the pointer itself is damaged."""
        try:
            return self.current() or ""
        except BundleError:
            return "?"

    def use(self, version: str) -> None:
        """Let this version serve, after reading all of it. Raises BundleError and changes nothing if it cannot."""
        Bundle.load(self.folder / self._known(version))
        try:
            pointer = self._read_pointer()
        except BundleError:  # damaged: this mends it
            pointer = {"current": None, "before": []}
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

    def _known(self, version: str) -> str:
        if Path(version).name != version or version.startswith(".") or not (self.folder / version).is_dir():
            known = ", ".join(info["version"] for info in self.list()) or "none"
            raise BundleError(f"no bundle is called {version!r}; there are: {known}")
        return version

    def _read_pointer(self) -> dict[str, Any]:
        try:
            pointer = orjson.loads(self._pointer.read_bytes())
        except FileNotFoundError:
            return {"current": None, "before": []}
        except (OSError, orjson.JSONDecodeError) as error:
            raise BundleError(
                f"{self._pointer} cannot be read ({error}); choose with `shelfwise bundles use`"
            ) from None
        if not isinstance(pointer, dict) or not isinstance(pointer.get("before"), list) or "current" not in pointer:
            raise BundleError(f"{self._pointer} is not Shelfwise's; remove it and choose with `shelfwise bundles use`")
        return pointer

    def _point(self, pointer: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".current.{secrets.token_hex(4)}"
        durable_write(beside, json_bytes(pointer))
        beside.replace(self._pointer)
        flush_folder(self.folder)
