"""Networks of a model at their full size without a byte of weights, on torch's `meta` device.

The config values in shapes/*.json are facts from the models' public configs; those of a model folder serve as well.
Parameter counts and tensor names follow from them, and so does the memory that a step needs (memory.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ...core.errors import Sds3dError
from ..families.base import Layout

SHAPES = Path(__file__).with_name("shapes")


@dataclass(frozen=True, eq=False)
class Architecture:
    """The components of a model; two are equal if they are one object, so that what follows from one can be kept.

    Args:
        network: name of the denoiser's component. parts: component -> (library, class, config).
    """

    network: str
    parts: Mapping[str, tuple[str, str, Mapping[str, Any]]]

    @property
    def encoders(self) -> tuple[str, ...]:
        """The text encoders."""
        return tuple(name for name in self.parts if name.startswith("text_encoder"))


def names() -> list[str]:
    """The architectures that come with sds3d."""
    return sorted(p.stem for p in SHAPES.glob("*.json"))


def load_shape(name: str) -> Architecture:
    """One of `names`.

    Raises:
        Sds3dError: there is none of that name.
    """
    file = SHAPES / f"{name}.json"
    if not file.is_file():
        raise Sds3dError(f"there is no architecture {name!r}; there are {', '.join(names())}.")
    data = json.loads(file.read_text())
    parts = {k: (v["library"], v["class"], v["config"]) for k, v in data.items() if isinstance(v, dict)}
    return Architecture(data["network"], parts)


def of_layout(layout: Layout) -> Architecture:
    """That of a model folder, from its own configs."""
    classes = layout.classes()
    parts = {
        name: (*classes[name], config)
        for name, config in layout.configs.items()
        if name != "scheduler" and name in classes
    }
    return Architecture(layout.family.network, parts)


def build(architecture: Architecture, part: str, dtype: torch.dtype = torch.float16) -> Any:
    """A component on the meta device, in evaluation mode, gradients off; nothing is allocated.

    Raises:
        Sds3dError: the installed library has no such class.
    """
    import importlib

    library, name, config = architecture.parts[part]
    module = importlib.import_module(library)
    kind = getattr(module, name, None)
    if kind is None:
        raise Sds3dError(f"{part}: the installed {library} has no {name}, so that nothing can be predicted.")
    with torch.device("meta"):
        if library == "transformers":
            values = {k: v for k, v in config.items() if k not in ("architectures", "torch_dtype", "dtype")}
            network = kind(kind.config_class(**values))
        else:
            network = kind.from_config({k: v for k, v in config.items() if not k.startswith("_")})
    # the library's own `to` warns of layers that it would keep in float32; there are none in these models
    return torch.nn.Module.to(network, dtype).eval().requires_grad_(False)


def parameters(network: Any) -> int:
    """Numbers of trained weights."""
    return sum(p.numel() for p in network.parameters())


@cache
def counts(name: str) -> Mapping[str, int]:
    """Component -> parameters of a shipped architecture."""
    shape = load_shape(name)
    return {part: parameters(build(shape, part)) for part in shape.parts}
