"""ControlNet: a published model told the depth or the normals of each view.

Zhang et al., "Adding conditional control to text-to-image diffusion models", 2023, arXiv 2302.05543: a copy of the
UNet's encoder reads a picture and adds to the UNet's skips. The pictures that the published ones were trained on come
from MiDaS; the same is drawn here from the render's own maps:

    depth: inverse depth, the nearest point 1, the farthest 0.2, nothing 0
    normal: (-n_x, n_y, n_z) / 2 + 1/2 in the camera's axes (x right, y up, z back), nothing (0.5, 0.5, 1)

which are the signs of MiDaS's inverse depth under Sobel's filters (x grows where the right is nearer).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from ..config.options import Options
from ..core.errors import Sds3dError
from ..core.look import Look, Render
from .latent import resized
from .model_folder import read_json
from .weight_files import SAFE
from .weights import frozen

FARTHEST = 0.2
"""Where the farthest visible point lies in a depth picture."""


class ControlOptions(Options):
    """A ControlNet beside the denoiser."""

    folder: str = Field(min_length=1)
    """Its folder on this disk, with config.json and safetensors weights."""
    map: Literal["depth", "normal"]
    """Which map of the render it is shown."""
    scale: float = Field(default=1.0, ge=0.0)
    """Factor on what it adds."""


def control_files(options: ControlOptions) -> list[Path]:
    """The weight file that is read.

    Raises:
        Sds3dError: the folder is no ControlNet, or has no safetensors weights.
    """
    folder = Path(options.folder).expanduser()
    kind = read_json(folder / "config.json").get("_class_name")
    if kind != "ControlNetModel":
        raise Sds3dError(f"{folder}: holds a {kind}, expected a ControlNetModel.")
    for middle in ("", ".fp16"):
        file = folder / f"diffusion_pytorch_model{middle}{SAFE}"
        if file.is_file():
            return [file]
    raise Sds3dError(f"{folder}: not a complete ControlNet, missing: diffusion_pytorch_model{SAFE}")


def check_control(options: ControlOptions, unet: dict[str, Any]) -> None:
    """Whether it was made for such a UNet; errors as in `control_files`, and where the widths differ."""
    control_files(options)
    if "cross_attention_dim" not in unet:
        raise Sds3dError("prior.controls: ControlNets go with UNets that read text, such as sd15's.")
    config = read_json(Path(options.folder).expanduser() / "config.json")
    for name in ("cross_attention_dim", "block_out_channels"):
        if config.get(name) != unet.get(name):
            raise Sds3dError(
                f"{options.folder}: a ControlNet for another model: its {name} is {config.get(name)}, the UNet's is "
                f"{unet.get(name)}."
            )


def load_control(options: ControlOptions, dtype: torch.dtype, device: torch.device) -> Any:
    """The frozen network."""
    from diffusers import ControlNetModel

    variant = "fp16" if control_files(options)[0].name.endswith(f".fp16{SAFE}") else None
    try:
        network = ControlNetModel.from_pretrained(
            Path(options.folder).expanduser(),
            torch_dtype=dtype,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise Sds3dError(f"{options.folder}: cannot be loaded: {error}") from error
    return frozen(network).to(device)


def control_picture(kind: str, look: Look, maps: Render, size: tuple[int, int]) -> Float[Tensor, "b 3 h w"]:
    """What a ControlNet is shown of these views, in [0, 1] at `size`; see the module docstring.

    Args:
        maps: "depth" or "normal", and "alpha".

    Raises:
        Sds3dError: the render has no such map.
    """
    if kind not in maps or "alpha" not in maps:
        raise Sds3dError(f"prior.controls: the render has no {kind} and alpha; take another representation.")
    inside = (maps["alpha"] > 0.5).float()
    drawn = (
        depth_picture(maps["depth"], inside)
        if kind == "depth"
        else normal_picture(maps["normal"], inside, look)
    )
    return resized(drawn, size)


def depth_picture(
    depth: Float[Tensor, "b 1 h w"], inside: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 3 h w"]:
    """Inverse depth, stretched over what is seen in each view."""
    near = 1.0 / depth.clamp(min=1e-6)
    low = torch.where(inside > 0, near, torch.full_like(near, torch.inf)).amin((1, 2, 3), keepdim=True)
    high = torch.where(inside > 0, near, torch.full_like(near, -torch.inf)).amax((1, 2, 3), keepdim=True)
    share = torch.where(high > low, (near - low) / (high - low), torch.ones_like(near))
    return torch.where(inside > 0, FARTHEST + (1.0 - FARTHEST) * share, torch.zeros_like(near)).expand(
        -1, 3, -1, -1
    )


def normal_picture(
    normal: Float[Tensor, "b 3 h w"], inside: Float[Tensor, "b 1 h w"], look: Look
) -> Float[Tensor, "b 3 h w"]:
    """World normals in the camera's axes, with the published signs."""
    assert look.cameras is not None, "normals are of views of an object"
    axes = look.cameras.c2w[:, :3, :3].to(normal)
    turned = torch.einsum("bij,bihw->bjhw", axes, normal)
    turned = turned / turned.norm(dim=1, keepdim=True).clamp(min=1e-6)
    signs = torch.tensor([-1.0, 1.0, 1.0]).to(normal).view(1, 3, 1, 1)
    flat = torch.tensor([0.5, 0.5, 1.0]).to(normal).view(1, 3, 1, 1)
    return torch.where(inside > 0, 0.5 + 0.5 * signs * turned, flat)


class Controlled:
    """A UNet with what ControlNets add to it, called as the UNet itself.

    Args:
        network: the UNet. controls: (ControlNet, scale, pictures (B, 3, H, W)) each.
    """

    def __init__(self, network: Any, controls: list[tuple[Any, float, Tensor]]):
        self._network, self._controls = network, controls

    def __call__(self, z_t: Tensor, time: Tensor, states: Tensor, **more: Any) -> Any:
        """See UNet2DConditionModel.forward."""
        shared = {name: more[name] for name in ("timestep_cond", "added_cond_kwargs") if name in more}
        down: list[Tensor] | None = None
        middle: Tensor | None = None
        for control, scale, pictures in self._controls:
            skips, last = control(
                z_t, time, states, pictures, conditioning_scale=scale, return_dict=False, **shared
            )
            down = list(skips) if down is None else [a + b for a, b in zip(down, skips, strict=True)]
            middle = last if middle is None else middle + last
        return self._network(
            z_t,
            time,
            states,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            **more,
        )
