"""Checkpoints of torch read without running what they hold: tensors, numbers and containers alone.

torch's own restricted reader takes no numpy numbers in the versions that nerfstudio is used with, and nerfstudio's
schedulers leave some in every checkpoint. The file is a zip: a pickle, and the bytes of each storage beside it.
"""

from __future__ import annotations

import collections
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def _tensor(storage: Tensor, offset: int, size: tuple, stride: tuple, *_: Any) -> Tensor:
    """A tensor of its own out of a storage; torch refuses places outside of it."""
    return torch.as_strided(storage, size, stride, offset).clone()


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _number(dtype: np.dtype, data: bytes) -> float:
    """A number of numpy."""
    return float(np.frombuffer(data, dtype, count=1)[0])


def _names() -> dict[tuple[str, str], Any]:
    """What a pickle may name -> what it stands for here."""
    from _codecs import encode

    found: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch", "Size"): tuple,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "scalar"): _number,
        ("numpy._core.multiarray", "scalar"): _number,
        ("_codecs", "encode"): encode,
    }
    return found | {("torch", name): dtype for name, dtype in _STORAGES.items()}


class _Unpickler(pickle.Unpickler):
    """Knows the names that a state of tensors and numbers is made of, and no others."""

    def __init__(self, stream: Any, read: Callable[[str], bytes]):
        super().__init__(stream)
        self.read, self.names = read, _names()
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What an allowed name stands for.

        Raises:
            UnpicklingError: the name is not allowed.
        """
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no tensor and no number")
        return self.names[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        """The storage of an entry ("storage", type, key, device, count), flat.

        Raises:
            UnpicklingError: it is none, or has fewer bytes than it claims.
        """
        what, dtype, key, _, count = pid
        if what != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("it holds something that is no storage of numbers")
        if key not in self.storages:
            data = self.read(key)
            if len(data) != count * torch.empty(0, dtype=dtype).element_size():
                raise pickle.UnpicklingError(f"the storage {key} has {len(data)} bytes for {count} numbers")
            flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
            self.storages[key] = flat
        return self.storages[key]


def load_plain(path: Path) -> Any:
    """What a checkpoint of torch holds, on the CPU.

    Raises:
        Exception: of many kinds, where it is cut off, malformed, or holds anything else.
    """
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
        folder = pickled.rpartition("/")[0]

        def read(key: str) -> bytes:
            entry = archive.getinfo(f"{folder}/data/{key}")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise pickle.UnpicklingError("a storage is compressed, which torch never writes")
            return archive.read(entry)

        with archive.open(pickled) as stream:
            return _Unpickler(stream, read).load()
