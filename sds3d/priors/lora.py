"""Low-rank changes (LoRA) of a prior's own network, as explicit arguments.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, arXiv 2106.09685, eq. 3: a layer's output gains
(alpha / rank) B A x. The change belongs to a twin of the network that shares the frozen weights: the prior itself
answers as ever, and two changes of one network never meet.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, Protocol, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..core.cameras import Cameras
from ..core.errors import ConfigError, MissingPackageError
from ..core.streams import Streams
from .base import Cond, Prediction, Prior

Weights = Mapping[str, Tensor]
"""The change: name of a tensor (no dots) -> float32 tensor."""
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_PLACES = ("time_embedding", "time_text_embed")
"""Modules of diffusers' denoisers that make the vector to which a camera can be added."""


@dataclass(frozen=True)
class LoraSpec:
    """What is changed.

    Args:
        rank: of each layer's change. alpha: the change is scaled by alpha / rank.
        layers: "all" linear layers and convolutions, or those of "attention".
        camera: whether the changed network hears of the camera.
    """

    rank: int = 4
    alpha: float = 4.0
    layers: Literal["all", "attention"] = "all"
    camera: bool = True


class Adapter(Protocol):
    """A prior's network with a change that is an argument."""

    def init(self, streams: Streams) -> dict[str, Tensor]:
        """The change that changes nothing, ready to be trained."""
        ...

    def predict(
        self,
        weights: Weights,
        z_t: Tensor,
        t: Float[Tensor, " b"],
        cond: Cond,
        cameras: Cameras | None,
        told: Bool[Tensor, " b"],
    ) -> Prediction:
        """The changed network's answer; pure, differentiable in `weights`.

        Args:
            cameras: B cameras or None. told: where the network hears of them; elsewhere it hears what its prior
                hears without them.
        """
        ...


class Adaptable(Prior, Protocol):
    """A prior with a network that can be changed."""

    def make_adapter(self, spec: LoraSpec) -> Adapter:
        """A twin of the network, to be changed by `spec`.

        Raises:
            ConfigError: the network has no such layers, or no place for a camera.
        """
        ...


def make_adapter(prior: Prior, spec: LoraSpec) -> Adapter:
    """The adapter of a prior.

    Raises:
        ConfigError: the prior has no network, or one that cannot be changed so.
    """
    if not hasattr(prior, "make_adapter"):
        raise ConfigError(
            f"the method trains a change of the prior's network, and the prior {prior.info.name!r} has none that "
            "can be changed.",
            key="guidance.method",
            hint="Take a prior with a network (embedded, diffusers), or a method without a critic, such as sds.",
        )
    return cast(Adaptable, prior).make_adapter(spec)


class LoraNetwork:
    """A frozen network and a low-rank change, with a camera embedding where the network has no camera of its own.

    Args:
        network: a torch module; it is left as it is. spec: what is changed.
        pose: add an embedding of the camera's pose to the network's time embedding: a linear layer of the flattened
            4 x 4 camera-to-world matrix, SiLU, a linear layer (ProlificDreamer's, arXiv 2305.16213, §3.2); its
            weights are part of the change.

    Raises:
        MissingPackageError: peft is not installed.
        ConfigError: no such layers, or no time embedding.
    """

    def __init__(self, network: nn.Module, spec: LoraSpec, pose: bool = False):
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise MissingPackageError("peft", "a trained critic (VSD, ESD)", "pip install peft") from error
        shared = {id(t): t for t in chain(network.parameters(), network.buffers())}
        twin = copy.deepcopy(network, shared).requires_grad_(False).eval()
        # on the device "meta" nobody draws numbers for the change's own weights: they are arguments
        config = LoraConfig(r=spec.rank, lora_alpha=spec.alpha, target_modules=_layers(twin, spec.layers))  # type: ignore[arg-type]
        self._twin: Any = inject_adapter_in_model(config, twin, low_cpu_mem_usage=True)
        self._place = _add_pose(self._twin) if pose else None
        self._shapes = {n: p.shape for n, p in self._twin.named_parameters() if p.device.type == "meta"}
        self._device = next(p.device for p in network.parameters())

    def init(self, streams: Streams) -> dict[str, Tensor]:
        """Uniform in ±1 / sqrt(fan in) for what comes first, zero for what comes last: no change at first."""
        out = {}
        for name, shape in self._shapes.items():
            value = torch.zeros(shape)
            if ".lora_A." in name or ".first." in name:
                bound = shape[1:].numel() ** -0.5 if len(shape) > 1 else 0.0
                value = bound * (2.0 * streams.uniform(shape, "lora", name)[0].float() - 1.0)
            out[name.replace(".", "/")] = value.to(self._device)
        return out

    def with_weights(self, weights: Weights, pose: Float[Tensor, "b 16"] | None = None) -> Any:
        """The changed network, to be called as the network itself. `pose`: what its camera embedding reads."""
        tensors = {name.replace("/", "."): value for name, value in weights.items()}
        if self._place is not None:
            assert pose is not None, "a network with a camera embedding is told a pose, if only zeros"
            tensors[f"{self._place}.pose"] = pose
        return _Changed(self._twin, tensors)


class _Changed:
    """A module called with some of its tensors replaced; its other attributes are the module's."""

    def __init__(self, module: nn.Module, tensors: dict[str, Tensor]):
        self._module, self._tensors = module, tensors

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return torch.func.functional_call(self._module, self._tensors, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Posed(nn.Module):
    """A module whose output gains an embedding of the pose, a buffer that each call replaces."""

    pose: Tensor

    def __init__(self, inner: nn.Module, width: int):
        super().__init__()
        self.inner = inner
        self.first = nn.Linear(16, width, device="meta")
        self.last = nn.Linear(width, width, device="meta")
        self.register_buffer("pose", torch.empty(0, 16, device="meta"), persistent=False)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        out = self.inner(*args, **kwargs)
        return out + self.last(nn.functional.silu(self.first(self.pose))).to(out.dtype)


def _layers(network: nn.Module, which: str) -> list[str]:
    """Names of the layers to change; depthwise convolutions mix no channels and stay."""
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    ]
    names = [n for n in names if which == "all" or n.endswith(_ATTENTION)]
    if not names:
        raise ConfigError(
            f"the network {type(network).__name__} has no layers of the kind {which!r} to change.",
            key="guidance.critic.layers",
        )
    return names


def _add_pose(network: nn.Module) -> str:
    """Put a camera embedding beside the network's time embedding; returns where."""
    place = next((name for name in _PLACES if hasattr(network, name)), None)
    if place is None:
        raise ConfigError(
            f"the network {type(network).__name__} has no time embedding that a camera could be added to.",
            key="guidance.critic.camera",
            hint="Set it to false; esd needs another prior.",
        )
    inner = getattr(network, place)
    width = [m.out_features for m in inner.modules() if isinstance(m, nn.Linear)][-1]
    setattr(network, place, _Posed(inner, width))
    return place


def flat_pose(
    cameras: Cameras | None, told: Bool[Tensor, " b"], device: torch.device
) -> Float[Tensor, "b 16"]:
    """(B, 16) camera-to-world matrices, zero where the network hears of no camera."""
    if cameras is None:
        return torch.zeros(len(told), 16, device=device)
    return cameras.c2w.to(device).flatten(1).float() * told.to(device)[:, None]
