"""Where training starts: the factorised co-occurrence of the training sequences, instead of random numbers.

The counts of `model/cooccurrence.py` hold nearly all that sparse behaviour can tell; learning them by gradient from
random vectors takes hours on a CPU, a truncated singular value decomposition (Halko, Martinsson & Tropp 2011) seconds.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from shelfwise.model.cooccurrence import directed_pairs
from shelfwise.model.sequences import Sequences

_WINDOW, _BACKWARD = 5, 0.15  # as Cooccurrence's
_COMMON = 0.25  # exponent of popularity that divides on both sides
_EXTRA = 16  # columns beyond the width that make the random projection exact enough
_ROUNDS = 2  # power iterations


def factorise(train: Sequences, n: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """(ahead, item), float32 [n, width] each: ahead[i] · item[j] is about how much item j follows item i.

    Weights are square roots of counts divided by a root of both popularities; the scale is split evenly. Rows of
    items without pairs, and columns beyond the rank, are zero.
    """
    pairs = directed_pairs(train, n, window=_WINDOW, backward=_BACKWARD)
    share = sparse.diags_array(np.maximum(np.bincount(train.item, minlength=n), 1.0) ** -_COMMON)
    weights = sparse.csr_array(share @ pairs.sqrt() @ share).astype(np.float32)
    ahead, item = torch.zeros(n, width), torch.zeros(n, width)
    rank = min(width, n)
    if not weights.nnz:
        return ahead, item
    graph, back = _tensor(weights), _tensor(sparse.csr_array(weights.T))
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
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data),
        size=matrix.shape,
        check_invariants=False,
    )


def _orthonormal(columns: Tensor) -> Tensor:
    return torch.linalg.qr(columns)[0]
