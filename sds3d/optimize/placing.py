"""Moving what a step needs to the device of the scene.

Random numbers are drawn on the CPU (core.streams), so that a step is the same everywhere; here they are moved.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from ..core.look import Look
from ..core.tree import Tree


def place_look(look: Look, device: torch.device) -> Look:
    """The same request with every tensor on the device."""
    cameras = None if look.cameras is None else look.cameras.to(device)
    lights = None if look.lights is None else look.lights.to(device)
    rest = {f.name: getattr(look, f.name) for f in fields(look)}
    moved: dict[str, Any] = {n: value.to(device) for n, value in rest.items() if isinstance(value, Tensor)}
    return replace(look, cameras=cameras, lights=lights, **moved)


def place_tree(tree: Tree, device: torch.device) -> Tree:
    """The same tree with every tensor on the device; plain values as they are."""
    return {
        key: value.to(device)
        if isinstance(value, Tensor)
        else place_tree(value, device)
        if isinstance(value, dict)
        else value
        for key, value in tree.items()
    }
