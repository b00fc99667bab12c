"""Cross-entropy over a whole catalogue without keeping its logits: forward and gradients a chunk at a time.

The logits of 233,000 targets over 54,542 products are 50 GB. Here a chunk's logits are made, exponentiated once and
used at once for both gradients (as the loss is the end of the graph, its gradient is known in the forward pass), so
that memory is one chunk and each logit costs three multiply-adds per dimension, in bfloat16 where the machine has it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 64_000_000  # logits at a time
_SAFE = 60.0  # largest logit that may be exponentiated without a shift


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        vectors: Tensor,
        target: Tensor,
        share: Tensor | None,
        half: bool,
        room: Tensor | None,
    ) -> Tensor:
        kind = torch.bfloat16 if half else torch.float32
        low, table = query.detach().to(kind), vectors.detach().to(kind)
        vectors_now = vectors.detach()
        positive = (query.detach() * vectors_now[target]).sum(1)
        # Where a logit may be too large to be exponentiated, each row is lowered by its own highest. (One shift for all
        # would save a pass, but a row far below it would sink to nothing, and its loss to -inf.)
        wide = float(query.detach().norm(dim=1).max()) * float(vectors_now.norm(dim=1).max()) > _SAFE
        by_query, by_vector = torch.empty_like(query), torch.zeros_like(vectors)
        total = torch.zeros((), device=query.device)
        step = max(1, CHUNK // max(1, len(vectors)))
        ones = (
            torch.ones(len(vectors), 1, dtype=kind, device=query.device) if share is None else share[:, None].to(kind)
        )
        for start in range(0, len(query), step):
            part = slice(start, start + step)
            some = low[part]
            size = len(some) * len(table)
            made = None
            if room is not None and room.dtype == kind and len(room) >= size:
                made = room[:size].view(len(some), -1)
            raised = torch.mm(some, table.T, out=made)
            if wide:
                top = raised.amax(1, keepdim=True)
                raised -= top
            raised.exp_()
            if share is not None:
                # Each candidate stands for 1 / (its chance to be drawn) of the catalogue; the target for itself.
                raised *= share.to(kind)
                raised[torch.arange(len(raised)), target[part]] /= share[target[part]].to(kind)
                mass = raised.sum(1, keepdim=True, dtype=torch.float32)
            else:
                mass = (raised @ ones).float()
            total += mass.log().sum() - positive[part].sum()
            if wide:
                total += top.sum(dtype=torch.float32)
            by_query[part] = (raised @ table).float() / mass
            by_vector += (raised.T @ (some / mass).to(kind)).float()
        by_query -= vectors_now[target]
        by_vector.index_add_(0, target, query.detach(), alpha=-1.0)
        ctx.save_for_backward(by_query, by_vector)
        ctx.count = len(query)
        return total / len(query)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        by_query, by_vector = ctx.saved_tensors
        scale = gradient / ctx.count
        return by_query.mul_(scale), by_vector.mul_(scale), None, None, None, None


def softmax_loss(
    query: Tensor,
    vectors: Tensor,
    target: Tensor,
    *,
    share: Tensor | None = None,
    half: bool = False,
    room: Tensor | None = None,
) -> Tensor:
    """Mean of -log softmax(query · vectorsᵀ)[target].

    query: float32 [p, d]. vectors: float32 [m, d]. target: int64 [p], rows of `vectors`.
    share: float32 [m], how many products of the catalogue each row stands for (1 / its chance to have been drawn:
    the log-Q correction of Bengio & Senécal 2008); None for the whole catalogue. half: multiply in bfloat16.
    room: any tensor of one dimension, of that type, in which logits are made where they fit: asking the system for new
    memory a hundred megabytes at a time takes as long as the sums.
    Differentiable once; backward may be called only once.
    """
    # torch gives `apply` no types.
    loss: Tensor = _Softmax.apply(query, vectors, target, share, half, room)  # type: ignore[no-untyped-call]
    return loss
