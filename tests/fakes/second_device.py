"""A second device that computes: what lies there mixes with the CPU as little as a GPU's memory does, on any machine.

Every tensor there wraps one on the CPU, so values, gradients and in-place changes are real ones; `computing()` makes
torch place new tensors there. An operation on tensors of both devices is the error that CUDA would give, scalars and
indices apart. torch knows a device type for experiments, "lazy", that no backend serves: that is what it calls itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

SECOND = torch.device("lazy:0")

_aten = torch.ops.aten
_MOVES = (_aten._to_copy.default, _aten.copy_.default)
_INDEXED = (
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._unsafe_index.Tensor,
    _aten._index_put_impl_.default,
)


class There(Tensor):
    """A tensor on SECOND; `inner` holds its values on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> There:
        return Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=SECOND,
            requires_grad=False,
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"There({self.inner!r})"

    def tolist(self) -> Any:
        """Allowed on every device."""
        return self.inner.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused as for a CUDA tensor."""
        raise TypeError(f"can't convert {SECOND} device type tensor to numpy. Use Tensor.cpu() first.")

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None) -> Any:
        return _run(func, args, kwargs or {})


class _Computing(TorchDispatchMode):
    """Sends the making of tensors on SECOND, and moves to it, to the same place."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    flat = pytree.arg_tree_leaves(*args, **kwargs)
    tensors = [t for t in flat if isinstance(t, Tensor)]
    there = [t for t in tensors if isinstance(t, There)]
    wanted = kwargs.get("device")
    if not there and (wanted is None or torch.device(wanted).type != SECOND.type):
        return func(*args, **kwargs)
    if func not in _MOVES:
        _refuse_mixtures(func, args, tensors)
    to_second = bool(there) if wanted is None else torch.device(wanted).type == SECOND.type
    if wanted is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    inner_args, inner_kwargs = pytree.tree_map_only(There, lambda t: t.inner, (args, kwargs))
    out = func(*inner_args, **inner_kwargs)
    written = _written(func, args, kwargs)
    if written is not None:
        return written
    if func is _aten._to_copy.default and wanted is not None and not to_second:
        return out
    return pytree.tree_map_only(Tensor, There, out) if to_second else out


def _refuse_mixtures(func: Any, args: tuple, tensors: list[Tensor]) -> None:
    checked = tensors
    if func in _INDEXED:  # CUDA takes indices from the CPU
        checked = [t for t in pytree.arg_tree_leaves(args[0], *args[2:]) if isinstance(t, Tensor)]
    away = [t for t in checked if not isinstance(t, There) and t.ndim > 0]
    if away and len(away) < len(checked):
        shapes = [tuple(t.shape) for t in away]
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, found {SECOND} and cpu {shapes}"
        )


def _written(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The argument(s) that an in-place operation returns; None for others."""
    schema = func._schema
    names = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    returned = [r for r in schema.returns if r.alias_info is not None and r.alias_info.is_write]
    if not names or len(returned) != len(schema.returns):
        return None
    given = dict(zip([a.name for a in schema.arguments], args, strict=False)) | kwargs
    values = [given[name] for name in names]
    return values[0] if len(schema.returns) == 1 else tuple(values) if schema.returns else None


@contextmanager
def computing() -> Iterator[torch.device]:
    """Let torch make tensors on SECOND, which is given."""
    before = torch._C._only_lift_cpu_tensors()
    # torch.tensor makes its value on the CPU and moves it, where the mode sees it
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Computing():
            yield SECOND
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
