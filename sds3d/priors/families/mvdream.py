"""MVDream: four views of one object, judged together, the camera as an input.

Shi et al., "MVDream", 2023, arXiv 2308.16512. Stable Diffusion 2.1's UNet with two changes: self-attention runs over
the tokens of all four views, and an embedding of each camera is added to the time's. diffusers has no class for it;
its UNet2DConditionModel has all the layers (the camera goes in as a "projection" class embedding), so only the
attention is replaced here.

Cameras: the network reads the 4 x 4 camera-to-world matrix, row by row, in Blender's axes (z up, the object's front
facing -y), with the position scaled to length 1. Our world is y up with the front facing +z: (x, y, z) ->
(x, -z, y) takes one to the other, and azimuth 0 sees the front in both.

Published layouts read here: the UNet's own names (`input_blocks...`, as the original checkpoint and its diffusers
conversion have them), or a UNet2DConditionModel with class_embed_type "projection".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ...core.errors import ConfigError
from ...core.look import Look
from .base import Family, Layout, check_views
from .stable_diffusion import width_objections

if TYPE_CHECKING:
    from ..kinds.diffusers import Options

VIEWS = 4
CAMERA = 16
"""Numbers of a camera."""

_PUBLISHED = "MultiViewUNetModel"
_CELL = 8


class MVDream(Family):
    """Four views at 256 pixels, CLIP text."""

    name = "mvdream"
    pipelines = ("MVDreamPipeline",)
    networks = ("UNet2DConditionModel", _PUBLISHED)
    converted = frozenset({_PUBLISHED})
    views_per_group = VIEWS
    uses_camera = True

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Without a camera it is another model; ImageDream takes a picture as well."""
        unet = unet_config(configs["unet"])
        reasons = []
        if unet.get("projection_class_embeddings_input_dim") != CAMERA:
            reasons.append(f"the UNet takes no camera of {CAMERA} numbers")
        if configs["unet"].get("ip_dim"):
            reasons.append("the UNet also takes a picture (ImageDream)")
        return reasons + width_objections(unet, configs)

    def size(self, configs: Mapping[str, Mapping[str, Any]]) -> tuple[int, int] | None:
        """256 x 256 for the published model, whose config calls it image_size, in cells."""
        side = int(configs["unet"].get("sample_size") or configs["unet"].get("image_size") or 32)
        return (side * self.factor(configs),) * 2

    def load_network(self, layout: Layout, dtype: torch.dtype, quantize: str = "none") -> Any:
        """A UNet2DConditionModel whose self-attention joins four views; `quantize` is always "none"."""
        from ..weights import load_component, load_converted

        if layout.file is None and "model_channels" not in layout.configs["unet"]:
            network = load_component(layout, "unet", dtype)
        else:
            network = load_converted(layout, "unet", unet_config(layout.configs["unet"]), rename, dtype)
        join_views(network)
        return network

    def extra(self, layout: Layout, look: Look, options: Options) -> dict[str, Tensor]:
        """ "camera" (B, 16).

        Raises:
            ConfigError: no cameras, or views that are not four of one object each.
        """
        cameras = look.cameras
        if cameras is None:
            raise ConfigError(
                "this prior judges views of an object; it has no use for media without cameras."
            )
        groups = cameras.group.tolist()
        sizes = [groups.count(g) for g in dict.fromkeys(groups)]
        check_views(VIEWS, sizes)
        assert groups == sorted(groups), "views of an object stand side by side"
        return {"camera": camera_numbers(cameras.c2w)}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """B views, four consecutive rows an object."""
        return network(z_t, time, tensors["states"], class_labels=tensors["camera"], return_dict=False)[0]


def camera_numbers(c2w: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 16"]:
    """Our OpenGL camera-to-world matrices as MVDream reads them (module docstring)."""
    turn = torch.tensor(
        [[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]], dtype=c2w.dtype, device=c2w.device
    )
    out = turn @ c2w
    out[:, :3, 3] = F.normalize(out[:, :3, 3], dim=-1)
    return out.flatten(1)


class JointAttention:
    """Attention processor: self-attention over the tokens of four views at once."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "b n d"],
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Float[Tensor, "b n d"]:
        """(B, N, D) -> (B, N, D), B = 4 x objects."""
        views, tokens, _width = hidden_states.shape
        joined = hidden_states.reshape(views // VIEWS, VIEWS * tokens, -1)
        q, k, v = (
            layer(joined).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return attn.to_out[0](out).reshape(views, tokens, -1)


def join_views(network: Any) -> None:
    """Put JointAttention into every self-attention of a UNet2DConditionModel."""
    processors = dict(network.attn_processors)
    for name in processors:
        if name.endswith("attn1.processor"):
            processors[name] = JointAttention()
    network.set_attn_processor(processors)


def unet_config(published: Mapping[str, Any]) -> dict[str, Any]:
    """UNet2DConditionModel's arguments for a published UNet config; one that is in that form already is kept."""
    if "model_channels" not in published:
        return dict(published)
    width, head = int(published["model_channels"]), int(published["num_head_channels"])
    channels = [width * int(m) for m in published["channel_mult"]]
    # attention at level i, where pictures are 2^i smaller
    attends = [2**i in set(published["attention_resolutions"]) for i in range(len(channels))]
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)]
    return {
        "sample_size": published.get("image_size", 32),
        "in_channels": published.get("in_channels", 4),
        "out_channels": published.get("out_channels", 4),
        "block_out_channels": channels,
        "down_block_types": down,
        "up_block_types": up,
        "layers_per_block": published["num_res_blocks"],
        "attention_head_dim": [c // head for c in channels],
        "transformer_layers_per_block": published.get("transformer_depth", 1),
        "cross_attention_dim": published["context_dim"],
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": published.get("camera_dim"),
    }


def rename(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Published names -> UNet2DConditionModel's."""
    from diffusers.loaders.single_file_utils import LDM_UNET_KEY, convert_ldm_unet_checkpoint

    bare = {name.removeprefix(LDM_UNET_KEY): value for name, value in tensors.items()}
    # the library's name for the layers that a "projection" class embedding is read from
    bare = {name.replace("camera_embed.", "label_emb.0."): value for name, value in bare.items()}
    return convert_ldm_unet_checkpoint({LDM_UNET_KEY + n: v for n, v in bare.items()}, dict(config))


FAMILIES = (MVDream(),)
