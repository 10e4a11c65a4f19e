"""Checkpoints read without running what they hold: tensors, numbers and containers alone.

torch's own weights_only knows no numpy numbers, which the schedulers of nerfstudio leave in a checkpoint.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

_ALLOWED = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("builtins", "dict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("torch", "device"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}


class _Unpickler(pickle.Unpickler):
    """Finds the names that a state of tensors and numbers is made of, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of an allowed name.

        Raises:
            UnpicklingError: the name is not allowed.
        """
        plain = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if (module, name) not in _ALLOWED and not plain:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no tensor and no number")
        return super().find_class(module, name)


def load_plain(path: Path) -> Any:
    """What a checkpoint of torch holds, on the CPU.

    Raises:
        Exception: of many kinds, where it is cut off, malformed, or holds anything else.
    """
    reader = SimpleNamespace(Unpickler=_Unpickler, __name__="plain_pickle")
    return torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)
