"""Predicted peak memory and arithmetic of a step, from the architecture alone.

The networks run on the meta device: nothing is computed, but every tensor that would be made is counted (tracker.py).
What is not counted: the representation, the GPU library's own workspace, and holes between blocks; `OVERHEAD` stands
for them. All figures are predictions; nothing here was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..quantize import weight_bytes
from ..thrift import take_turns, use_tiles
from .architecture import Architecture, build
from .tracker import Tracker, fused_attention

GB = 10**9
OVERHEAD = 1.0 * GB
"""Bytes for the GPU library's context, workspaces and the representation."""
_WORDS = {"FluxTransformer2DModel": 512, "SD3Transformer2DModel": 333}
"""Class of a network -> text tokens that it reads; 77 for UNets, 300 for the other transformers."""


@dataclass(frozen=True)
class Workload:
    """What one step asks of the prior.

    Args:
        size: side of the judged pictures in pixels. views: pictures a step. branches: predictions a view.
        dtype, vae_dtype, text_dtype: precision of denoiser, autoencoder, text encoders. quantize: how the denoiser's
            weights are quantised. packed: their bytes where they come quantised in a file. tiles: side in pixels of
            the autoencoder's tiles.
    """

    size: int
    views: int = 4
    branches: int = 2
    dtype: torch.dtype = torch.float16
    vae_dtype: torch.dtype = torch.float32
    text_dtype: torch.dtype | None = None
    quantize: str = "none"
    packed: int | None = None
    tiles: int | None = None


@dataclass(frozen=True)
class Prediction:
    """Bytes by what they are for, and floating point operations of one step.

    Args:
        network, vae: weights. text: weights of the text encoders, while the words are encoded.
        encoded: kept by the encoder for the way back. encode, backward, predict, decode: most beyond the weights
            during that part of a step. flops: of a step.
    """

    network: int
    vae: int
    text: int
    encoded: int
    encode: int
    predict: int
    backward: int
    decode: int
    flops: int

    @property
    def weights(self) -> int:
        """Of denoiser and autoencoder."""
        return self.network + self.vae

    def stages(self) -> dict[str, float]:
        """Peak of each part of a run in bytes, overhead included."""
        # the words come first: denoiser and autoencoder are loaded when the text encoders are gone
        words = {"encode the words": self.text + OVERHEAD} if self.text else {}
        parts = {
            "encode the renders": self.encode,
            "predict the noise": self.encoded + self.predict,
            "back through the encoder": self.backward,
            "decode a preview": self.decode,
        }
        return words | {name: self.weights + value + OVERHEAD for name, value in parts.items() if value}

    @property
    def peak(self) -> float:
        """The highest of the stages."""
        return max(self.stages().values())


def predict(
    architecture: Architecture,
    work: Workload,
    lean: bool = False,
    tight: bool = False,
    offload: bool = False,
) -> Prediction:
    """What a step needs.

    Args:
        lean: the autoencoder takes one view at a time and computes its activations again on the way back.
        tight: besides, it keeps nothing of a view but its pixels.
        offload: blocks of denoiser and text encoders stay in main memory and come one by one, the next while one
            computes.
    """
    peak, flops = _forward(architecture, work.size, work.views * work.branches, work.dtype)
    vae = _Vae(architecture, work, lean, tight) if "vae" in architecture.parts else None
    return Prediction(
        network=_weights(architecture, work.dtype, work.quantize, work.packed, offload),
        vae=vae.weights if vae else 0,
        text=_text_bytes(architecture, work.text_dtype, offload),
        encoded=vae.encoded if vae else 0,
        encode=vae.encode if vae else 0,
        predict=peak,
        backward=vae.backward if vae else 0,
        decode=vae.decode if vae else 0,
        flops=flops + (vae.flops if vae else 0),
    )


# tiers differ in little; what they share is worked out once an architecture
@lru_cache(maxsize=16)
def _forward(architecture: Architecture, size: int, batch: int, dtype: torch.dtype) -> tuple[int, int]:
    """(most bytes beyond the weights, operations) of one forward of the denoiser for pictures of that side."""
    network = build(architecture, architecture.network, dtype)
    tracker = Tracker([*network.parameters(), *network.buffers()])
    call = _call(architecture, network, size, batch, dtype)
    with torch.no_grad(), fused_attention(tracker), tracker:
        call()
    return tracker.peak, tracker.flops


@lru_cache(maxsize=16)
def _weights(
    architecture: Architecture, dtype: torch.dtype, quantize: str, packed: int | None, offload: bool
) -> int:
    """Bytes of the denoiser's weights, and of the largest one in the network's precision where they are quantised."""
    network = build(architecture, architecture.network, dtype)
    if offload:
        return 2 * _largest_block(network)
    if packed is None:
        return weight_bytes(network, quantize)
    largest = max(m.weight.numel() for m in network.modules() if isinstance(m, torch.nn.Linear))
    return packed + largest * dtype.itemsize


def _bytes(network: Any) -> int:
    return sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))


def _largest_block(network: Any) -> int:
    """Bytes of the largest module of a list of blocks."""
    lists = [m for m in network.modules() if isinstance(m, torch.nn.ModuleList)]
    return max((_bytes(block) for blocks in lists for block in blocks), default=_bytes(network))


@lru_cache(maxsize=16)
def _text_bytes(architecture: Architecture, dtype: torch.dtype | None, offload: bool) -> int:
    """Weights of the text encoders: float32 for small ones, bfloat16 for big ones, as texts.py has it."""
    from ..texts import BIG_BYTES

    total = 0
    for name in architecture.encoders:
        encoder = build(architecture, name, torch.float32)
        auto = 2 if _bytes(encoder) > BIG_BYTES else 4
        size = auto if dtype is None else dtype.itemsize
        total += (2 * _largest_block(encoder) if offload else _bytes(encoder)) * size // 4
    return total


def cell_pixels(architecture: Architecture) -> int:
    """Pixels of a latent cell, per side; 1 for pixel models."""
    if "vae" not in architecture.parts:
        return 1
    levels = architecture.parts["vae"][2]
    return int(2 ** (len(levels.get("block_out_channels") or levels["encoder_block_out_channels"]) - 1))


class _Vae:
    """The autoencoder's part of a step: encode with a way back, the way back, decode."""

    def __init__(self, architecture: Architecture, work: Workload, lean: bool, tight: bool):
        vae = build(architecture, "vae", work.vae_dtype)
        if lean or work.tiles:
            take_turns(vae, whole=tight or bool(work.tiles))
        if work.tiles:
            use_tiles(vae, work.tiles, cell_pixels(architecture))
        self.weights = _bytes(vae)
        tracker = Tracker([*vae.parameters(), *vae.buffers()])
        side = (work.views, 3, work.size, work.size)
        image = torch.empty(side, device="meta", dtype=work.vae_dtype, requires_grad=True)
        with fused_attention(tracker), tracker:
            # an operation first, since a leaf's own storage is not counted
            encoded = vae.encode(2.0 * image - 1.0)
            z = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latent
            del encoded
            self.encode, self.encoded = tracker.peak, tracker.now
            tracker.restart()
            z.backward(torch.empty_like(z))
            self.backward = tracker.peak
            latent = z.detach()
            del z, image
            tracker.restart()
            before = tracker.now
            with torch.no_grad():
                vae.decode(latent)
            self.decode = tracker.peak - before
        self.flops = tracker.flops


def _call(
    architecture: Architecture, network: Any, size: int, batch: int, dtype: torch.dtype
) -> Callable[[], Any]:
    """One forward of the denoiser for `batch` pictures: all views of all branches."""
    name, config = architecture.parts[architecture.network][1:]

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, device="meta", dtype=dtype)

    cells, time = size // cell_pixels(architecture), empty(batch)
    if name == "UNet2DConditionModel":
        return lambda: network(
            empty(batch, config["in_channels"], cells, cells), time, **_unet(config, batch, empty)
        )
    words = _WORDS.get(name, 300)
    if name == "FluxTransformer2DModel":
        tokens = (cells // 2) ** 2
        return lambda: network(
            hidden_states=empty(batch, tokens, config["in_channels"]),
            encoder_hidden_states=empty(batch, words, config["joint_attention_dim"]),
            pooled_projections=empty(batch, config["pooled_projection_dim"]),
            timestep=time,
            guidance=time.float() if config.get("guidance_embeds") else None,
            txt_ids=empty(words, 3),
            img_ids=empty(tokens, 3),
        )
    latent = empty(batch, config["in_channels"], cells, cells)
    if name == "SD3Transformer2DModel":
        states = empty(batch, words, config["joint_attention_dim"])
        return lambda: network(latent, states, empty(batch, config["pooled_projection_dim"]), time)
    states = empty(batch, words, config["caption_channels"])
    more: dict[str, Any] = {}
    if name.startswith("PixArt"):
        more["added_cond_kwargs"] = {"resolution": None, "aspect_ratio": None}
    elif config.get("guidance_embeds"):
        more["guidance"] = time
    return lambda: network(latent, encoder_hidden_states=states, timestep=time, **more)


def _unet(config: Mapping[str, Any], batch: int, empty: Callable[..., Tensor]) -> dict[str, Any]:
    """What a UNet reads beside the latents and the time."""
    width = config.get("encoder_hid_dim") or config["cross_attention_dim"]
    given: dict[str, Any] = {"encoder_hidden_states": empty(batch, 77, width)}
    if config.get("class_embed_type") == "projection":
        given["class_labels"] = empty(batch, config["projection_class_embeddings_input_dim"])
    if config.get("addition_embed_type") == "text_time":
        times = 6 * config["addition_time_embed_dim"]
        pooled = config["projection_class_embeddings_input_dim"] - times
        given["added_cond_kwargs"] = {"text_embeds": empty(batch, pooled), "time_ids": empty(batch, 6)}
    if config.get("time_cond_proj_dim"):
        given["timestep_cond"] = empty(batch, config["time_cond_proj_dim"])
    return given
