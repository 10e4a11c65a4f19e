"""The names that the makers of single-file checkpoints give to tensors, from the library's: the inverse of loading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "camera_embed.0",
    "class_embedding.linear_2": "camera_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def unet_names(unet: Any, prefix: str = "model.diffusion_model.") -> dict[str, Tensor]:
    """A UNet2DConditionModel's tensors under the names of Stable Diffusion's makers."""
    layers, levels = unet.config["layers_per_block"], len(unet.config["block_out_channels"])
    return {prefix + _unet_name(name, layers, levels): value for name, value in unet.state_dict().items()}


def _unet_name(name: str, layers: int, levels: int) -> str:
    for ours, theirs in _TOP.items():
        if name.startswith(ours + "."):
            return theirs + name[len(ours) :]
    part, *rest = name.split(".")
    if part == "mid_block":
        kind, index, *tail = rest
        block = {"resnets": 2 * int(index), "attentions": 2 * int(index) + 1}[kind]
        return f"middle_block.{block}." + _inside(kind, tail)
    level, kind, index, tail = int(rest[0]), rest[1], int(rest[2]), rest[3:]
    if part == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * (layers + 1)}.0.op." + tail[-1]
        return f"input_blocks.{1 + level * (layers + 1) + index}.{int(kind == 'attentions')}." + _inside(
            kind, tail
        )
    block = level * (layers + 1) + index
    if kind == "upsamplers":
        has_attention = any(n.startswith(f"up_blocks.{level}.attentions") for n in _SEEN)
        return f"output_blocks.{level * (layers + 1) + layers}.{1 + int(has_attention)}.conv." + tail[-1]
    return f"output_blocks.{block}.{int(kind == 'attentions')}." + _inside(kind, tail)


_SEEN: set[str] = set()


def _inside(kind: str, tail: list[str]) -> str:
    if kind != "resnets":
        return ".".join(tail)
    return ".".join([_RESNET[tail[0]], *tail[1:]])


def vae_names(vae: Any) -> dict[str, Tensor]:
    """An AutoencoderKL's tensors under the names of its makers (no attention but the middle one)."""
    levels = len(vae.config["block_out_channels"])
    out = {}
    for name, value in vae.state_dict().items():
        theirs, tensor = _vae_name(name, levels), value
        if ".mid.attn_1." in theirs and theirs.endswith("weight") and value.ndim == 2:
            tensor = value[:, :, None, None]  # linear layers were 1 x 1 convolutions
        out["first_stage_model." + theirs] = tensor
    return out


def _vae_name(name: str, levels: int) -> str:
    words = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    words = words.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
    words = words.replace("mid_block.attentions.0", "mid.attn_1")
    for ours, theirs in {
        "group_norm": "norm",
        "to_q": "q",
        "to_k": "k",
        "to_v": "v",
        "to_out.0": "proj_out",
    }.items():
        words = words.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
    parts = words.split(".")
    if "down_blocks" in parts or "up_blocks" in parts:
        at = next(i for i, p in enumerate(parts) if p in ("down_blocks", "up_blocks"))
        level = int(parts[at + 1]) if parts[at] == "down_blocks" else levels - 1 - int(parts[at + 1])
        kind = {"resnets": "block", "downsamplers": "downsample", "upsamplers": "upsample"}[parts[at + 2]]
        index = [parts[at + 3]] if kind == "block" else []
        return ".".join([*parts[:at], parts[at][:-7], str(level), kind, *index, *parts[at + 4 :]])
    return words


def clip_names(text: Any) -> dict[str, Tensor]:
    """A CLIP text encoder's tensors in a Stable Diffusion 1.x file."""
    begin = "cond_stage_model.transformer.text_model."
    return {begin + name.removeprefix("text_model."): value for name, value in text.state_dict().items()}


def single_file(unet: Any, vae: Any, text: Any) -> Mapping[str, Tensor]:
    """The whole of a Stable Diffusion 1.x checkpoint."""
    _SEEN.clear()
    _SEEN.update(unet.state_dict())
    tensors = unet_names(unet) | vae_names(vae) | clip_names(text)
    return {name: value.contiguous().clone() for name, value in tensors.items()}
