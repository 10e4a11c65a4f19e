"""Ways to use less memory of a GPU, from the quickest to the smallest, and choosing one by what is free.

| tier | what it does | what it costs |
|---|---|---|
| roomy | everything stays on the GPU | nothing |
| lean | the autoencoder takes one view at a time and computes its activations twice | its encoder runs twice |
| tight | lean; nothing of a view is kept but its pixels | its encoder runs three times |
| offload | tight; layers of denoiser and text encoders stay in main memory, come one by one | traffic of all weights |

In all of them the text encoders are loaded for one call, before the denoiser, and let go. Which tier fits is
predicted from the architecture (memory.py), never tried out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..families.base import Layout
from ..quantize import is_gguf
from ..thrift import take_turns, use_tiles
from .architecture import Architecture, of_layout
from .memory import GB, Prediction, Workload, predict
from .table import ModelError

if TYPE_CHECKING:
    from ..kinds.diffusers import Options

log = logging.getLogger(__name__)

TIERS: Mapping[str, tuple[bool, bool, bool]] = {
    "roomy": (False, False, False),
    "lean": (True, False, False),
    "tight": (True, True, False),
    "offload": (True, True, True),
}
"""Tier -> (lean autoencoder, tight autoencoder, offloaded denoiser), the roomiest first."""


def predict_tier(architecture: Architecture, work: Workload, tier: str) -> Prediction:
    """What a step needs in one of TIERS."""
    return predict(architecture, work, *TIERS[tier])


def choose(needs: Mapping[str, float], free: float) -> str:
    """The first tier that fits.

    Args:
        needs: tier -> predicted peak in bytes, in the order of TIERS. free: bytes.

    Raises:
        ModelError: none does; the text says what the smallest needs and what else helps.
    """
    for tier, need in needs.items():
        if need <= free:
            return tier
    smallest = min(needs, key=lambda tier: needs[tier])
    raise ModelError(
        f"{free / GB:.1f} GB of GPU memory are free, and even prior.memory={smallest} is predicted to need "
        f"{needs[smallest] / GB:.1f} GB. Lower optimize.views or prior.size, set prior.vae_precision=bfloat16, close "
        "other programs on the GPU, or take a smaller model (`sds3d models`)."
    )


def workload_of(
    options: Options, layout_size: int, dtype: torch.dtype, views: int = 4, branches: int = 2
) -> Workload:
    """The work that these options mean."""
    text = None if options.text_precision == "auto" else getattr(torch, options.text_precision)
    size, file = options.size or layout_size, Path(options.file or "").expanduser()
    packed = file.stat().st_size if is_gguf(options.file) and file.is_file() else None
    vae = getattr(torch, options.vae_precision)
    return Workload(size, views, branches, dtype, vae, text, options.quantize, packed, options.vae_tiles)


def open_tiers(options: Options) -> tuple[str, ...]:
    """The tiers that these options leave open, the roomiest first: quantised weights are not moved layer by layer."""
    if options.memory != "auto":
        return (options.memory,)
    quantised = options.quantize != "none" or is_gguf(options.file)
    return tuple(tier for tier, (*_, offload) in TIERS.items() if not (offload and quantised))


def tier_for(layout: Layout, options: Options, device: torch.device, dtype: torch.dtype) -> str:
    """The tier of a model that is about to be loaded; what was chosen is said.

    Raises:
        ModelError: the GPU's free memory is too small for any tier.
    """
    if options.memory != "auto" or device.type != "cuda":
        return "roomy" if options.memory == "auto" else options.memory
    free, _ = torch.cuda.mem_get_info(device)
    architecture, needs = of_layout(layout), {}
    work = workload_of(options, max(layout.size), dtype)
    for tier in open_tiers(options):
        needs[tier] = predict_tier(architecture, work, tier).peak
        if needs[tier] <= free:
            break
    chosen = choose(needs, free)
    log.warning(
        "prior.memory=%s: predicted to need %.1f GB for %d views of %d px; %.1f GB are free",
        chosen,
        needs[chosen] / GB,
        work.views,
        work.size,
        free / GB,
    )
    return chosen


def place_network(network: Any, device: torch.device, tier: str) -> None:
    """Bring a denoiser or text encoder to the device, whole or layer by layer as it is called; None is passed over."""
    if network is None:
        return
    if not TIERS[tier][2]:
        network.to(device)
        return
    from diffusers.hooks import apply_group_offloading

    apply_group_offloading(
        network,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
        use_stream=device.type == "cuda",
    )


def spare(vae: Any, tier: str, tiles: int | None, factor: int) -> Any:
    """The autoencoder, told to use little memory if the tier says so; None stays None.

    Args:
        tiles: side in pixels of the tiles that it works in, or None. factor: pixels of a latent cell, per side.
    """
    lean, tight, _ = TIERS[tier]
    if vae is not None and (lean or tiles):
        take_turns(vae, whole=tight or bool(tiles))
    if vae is not None and tiles:
        use_tiles(vae, tiles, factor)
    return vae
