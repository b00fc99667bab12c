"""Checkpoints of a fit: safetensors beside a JSON file that names them, replaced whole at each epoch's end."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Sequences

_FACTS = "checkpoint.json"


def fingerprint(train: Sequences, items: Items, validation: Sequences | None, *parts: str) -> str:
    """What a checkpoint must agree with to be gone on from: the events, what is known of the products (but for their
    thumbnails, which nothing with checkpoints reads), and all that shapes the fit."""
    digest = hashlib.sha256(repr(parts).encode())
    for name, value in _arrays(train, items, validation):
        digest.update(f"{name} {value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def _arrays(train: Sequences, items: Items, validation: Sequences | None) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    abouts: list[Sequences | Items] = [train, items] if validation is None else [train, items, validation]
    for about in abouts:
        for field in fields(about):
            value = getattr(about, field.name)
            if isinstance(value, np.ndarray) and field.name != "pixels":
                yield field.name, value


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest state of one fit, in `folder`. A torn, foreign or older one reads as None, and the fit begins anew."""

    folder: Path
    mark: str

    @classmethod
    def open(cls, folder: Path, mark: str) -> Self:
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, mark)

    def read(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]] | None:
        """(facts, groups of tensors) as `write` was given them."""
        try:
            facts: dict[str, Any] = json.loads((self.folder / _FACTS).read_text("utf-8"))
            if facts.pop("mark") != self.mark:
                return None
            stored = load_file(self.folder / facts.pop("file"))
        except (OSError, ValueError, KeyError, SafetensorError):
            return None
        tensors: dict[str, dict[str, Tensor]] = {}
        for key, value in stored.items():
            group, _, name = key.partition("/")
            tensors.setdefault(group, {})[name] = value
        return facts, tensors

    def write(self, facts: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Keep this in place of what was kept. facts["epoch"] names the file."""
        flat = {f"{group}/{name}": value.detach() for group, some in tensors.items() for name, value in some.items()}
        name = f"epoch-{facts['epoch']}.safetensors"
        kept = {key: torch.clone(value.cpu()).contiguous() for key, value in flat.items()}
        try:
            save_file(kept, self.folder / name)
        except SafetensorError as error:  # what its writer makes of a full disk
            (self.folder / name).unlink(missing_ok=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder / name)) from error
        beside = self.folder / f"{_FACTS}.new"
        beside.write_text(json.dumps({**facts, "mark": self.mark, "file": name}), "utf-8")
        beside.replace(self.folder / _FACTS)
        for old in self.folder.glob("epoch-*.safetensors"):
            if old.name != name:
                old.unlink()

    def clear(self) -> None:
        """Remove what was kept."""
        (self.folder / _FACTS).unlink(missing_ok=True)
        for old in self.folder.glob("epoch-*.safetensors"):
            old.unlink()
