"""Trees: nested dictionaries of tensors and plain values, the form of every saved state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Tree = dict[str, Any]
"""str -> Tensor | bool | int | float | str | None | list of plain values | Tree."""


def split(tree: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Flatten to ({"a.b": tensor}, {"a.b": plain value}); keys must hold no dot, empty trees are kept as {}.

    Raises:
        TypeError: a leaf is neither a tensor nor a JSON value.
        ValueError: a key holds a dot.
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for key in sorted(tree):
        if "." in key:
            raise ValueError(f"tree key {key!r} holds a dot")
        value, path = tree[key], f"{prefix}{key}"
        if isinstance(value, Tensor):
            tensors[path] = value
        elif isinstance(value, Mapping) and value:
            sub_tensors, sub_plain = split(value, path + ".")
            tensors |= sub_tensors
            plain |= sub_plain
        elif isinstance(value, Mapping):
            plain[path] = {}
        else:
            json.dumps(value)  # raises TypeError for anything that would not come back
            plain[path] = value
    return tensors, plain


def join(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> Tree:
    """The inverse of `split`."""
    out: Tree = {}
    for path, value in [*tensors.items(), *plain.items()]:
        node = out
        *parents, leaf = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return out


def tree_hash(tree: Mapping[str, Any]) -> str:
    """32 hex digits over names, types, shapes and exact bits of every leaf."""
    tensors, plain = split(tree)
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(tensors):
        value = tensors[path].detach().cpu().contiguous()
        digest.update(f"{path}|{value.dtype}|{tuple(value.shape)}|".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update(json.dumps(plain, sort_keys=True, allow_nan=True).encode())
    return digest.hexdigest()
