"""Counting the bytes that are alive, and the arithmetic done, while networks run on the meta device.

Every tensor that an operation makes is counted until its storage is let go, as an allocator on a GPU would have it.
Attention is counted as the fused kernels of GPUs do it: without the matrix of all pairs.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tracker(TorchDispatchMode):
    """Bytes alive now and at most, and floating point operations, while it is entered.

    Args:
        known: tensors that are counted elsewhere, such as weights.
    """

    def __init__(self, known: Iterable[Tensor] = ()):
        super().__init__()
        self.now = self.peak = self.flops = 0
        self._alive = {t.untyped_storage()._cdata: 0 for t in known}
        self._kept = list(known)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it makes."""
        from torch.utils.flop_counter import flop_registry

        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += int(count(*args, **(kwargs or {}), out_val=out))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._note(tensor)
        return out

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        self._alive[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._let_go, key)

    def _let_go(self, key: int) -> None:
        self.now -= self._alive.pop(key, 0)

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak = self.now


class _Fused(torch.autograd.Function):
    """Attention that keeps its inputs and output, as fused kernels do."""

    @staticmethod
    def forward(context: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(…, S, D) queries, (…, T, D) keys and values -> (…, S, Dv)."""
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        context.save_for_backward(q, k, v, out)
        return out

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the inputs' sizes."""
        q, k, v, _ = context.saved_tensors
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


@contextmanager
def fused_attention(tracker: Tracker) -> Iterator[None]:
    """For the length of a block, attention over meta tensors is `_Fused`, its arithmetic noted on the tracker.

    A function mode would not do: the way back through a checkpoint runs outside of it. Tensors of other devices, of
    another thread perhaps, get the real attention.
    """
    real = F.scaled_dot_product_attention

    def replaced(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if query.device.type != "meta":
            return real(query, key, value, *args, **kwargs)
        pairs = query.shape[:-1].numel() * key.shape[-2]
        tracker.flops += 2 * pairs * (query.shape[-1] + value.shape[-1])
        return _Fused.apply(query, key, value)

    F.scaled_dot_product_attention = replaced
    try:
        yield
    finally:
        F.scaled_dot_product_attention = real
