"""What the network remembers: the factorised co-occurrence of the training sequences.

The counts of `models/cooccurrence.py` hold nearly all that sparse behaviour can tell; learning them by gradient from
random vectors takes hours on a CPU, a truncated singular value decomposition (Halko, Martinsson & Tropp 2011) seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from shelfwise.models.cooccurrence import neighbours
from shelfwise.models.sequences import Sequences
from shelfwise.training.network_module import Content, NetworkModule

_WINDOW, _BACKWARD = 10, 0.3  # at width 512 better than 5 and 0.15 on the validation items of Amazon Beauty
_COMMON = 0.25  # exponent of popularity that divides on both sides
_PAIRS = 200  # strongest of each product: all 19 million of a grocer's year told no more, and took twice the time
_EXTRA = 16  # columns beyond the width that make the random projection exact enough
_ROUNDS = 2  # power iterations
_RANK = 1e-10  # share of the largest squared length below which a direction is none
_SHRINK = 5.0  # products a category or brand is imagined to have at the origin, besides its own


def factorise(train: Sequences, n: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """(ahead, item), float32 [n, width] each: ahead[i] · item[j] is about how much item j follows item i.

    Weights are counts divided by a root of both popularities; the scale is split evenly. Rows of
    items without pairs, and columns beyond the rank, are zero.
    """
    share = np.maximum(np.bincount(train.item, minlength=n), 1).astype(np.float32) ** np.float32(-_COMMON)
    indptr, ids, weights = neighbours(train, n, window=_WINDOW, backward=_BACKWARD, most=_PAIRS, share=share)
    weights *= np.repeat(share, np.diff(indptr))
    pairs = sparse.csr_array((weights, ids, indptr.astype(np.int32)), shape=(n, n))
    ahead, item = torch.zeros(n, width), torch.zeros(n, width)
    rank = min(width, n)
    if not pairs.nnz:
        return ahead, item
    graph, back = _tensor(pairs), _tensor(sparse.csr_array(pairs.T))
    del pairs
    random = torch.Generator().manual_seed(seed)
    basis = _orthonormal(graph @ torch.randn(n, min(rank + _EXTRA, n), generator=random))
    for _ in range(_ROUNDS):
        basis = _orthonormal(graph @ _orthonormal(back @ basis))
    projected = back @ basis  # [n, k], equal to item · values · leftᵀ
    square, turn = torch.linalg.eigh((projected.T @ projected).double())
    best = square.argsort(descending=True)[:rank]
    values = square[best].clamp(min=0).sqrt().float()
    turn = turn[:, best].float()
    root = values.sqrt()
    ahead[:, :rank] = (basis @ turn) * root
    item[:, :rank] = (projected @ turn) / root.clamp(min=1e-6) * (values > 1e-6 * values[0])
    return ahead, item


def _tensor(matrix: sparse.csr_array) -> Tensor:
    """The same memory, not a copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        tensor: Tensor = torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(matrix.indices.dtype, copy=False)),
            torch.from_numpy(matrix.indices),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=False,
        )
    return tensor


def _orthonormal(columns: Tensor) -> Tensor:
    """A basis of what they span, zero columns beyond its rank: by the dot products of columns, twice, since the first
    is rough (Yamamoto et al. 2015, CholeskyQR2). Half the time of Householder's way, and cores spend it together."""
    for _ in range(2):
        values, turn = torch.linalg.eigh((columns.T @ columns).double())
        scale = torch.where(values > _RANK * values[-1], values.clamp(min=1e-30).rsqrt(), 0)
        columns = columns @ (turn * scale).float()
    return columns


def remember(network: NetworkModule, train: Sequences, seed: int) -> None:
    """Give the network what it remembers of `train`. A product without history gets what its content foretells."""
    n, width = network.config.items, network.config.width
    ahead, memory = factorise(train, n, width, seed)
    known = memory.abs().sum(1) > 0
    if known.any():
        # Of length one on average, the scale moved to the other side: products are compared by both parts together.
        size = memory[known].norm(dim=1).mean()
        memory /= size
        ahead *= size
        facts = {name: value.cpu() for name, value in network.facts().items()}
        recall = Content(network.config, width).requires_grad_(False)
        if facts:
            _foretell(recall, {name: value[known] for name, value in facts.items()}, memory[known])
            memory[~known] = recall({name: value[~known] for name, value in facts.items()})
        network.recall.load_state_dict(recall.state_dict())
    network.ahead.copy_(ahead)
    network.memory.copy_(memory)


def _foretell(recall: Content, facts: Mapping[str, Tensor], vectors: Tensor) -> None:
    """Set the maps of text, photo, category, brand and price so that they foretell these vectors, float32 [m, width].

    One part after the other, each fitted by ridge regression to what those before left over.
    """
    rest = vectors.clone()
    for name, values in facts.items():
        part = getattr(recall, name)
        if name in ("category", "brand"):
            size = len(part.weight)
            count = torch.bincount(values, minlength=size)[:, None]
            total = torch.zeros(size, rest.shape[1]).index_add_(0, values, rest)
            part.weight.copy_(total / (count + _SHRINK))
            part.weight[0] = 0
            rest -= part.weight[values]
        else:
            square = values.T @ values
            square += torch.eye(len(square)) * (_SHRINK + 1e-3 * float(square.diagonal().mean()))
            part.weight.copy_(torch.linalg.solve(square, values.T @ rest).T)
            rest -= values @ part.weight.T
