"""The audio prior's network: a diffusers UNet on unshuffled spectrograms, told words and pooled text.

Training and use share this file, so that they cannot drift apart.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def sound_unet_output(
    unet: Any,
    unshuffle: int,
    z_t: Float[Tensor, "b 1 m n"],
    index: Int[Tensor, " b"],
    states: Float[Tensor, "b l d"],
    pooled: Float[Tensor, "b d"],
) -> Float[Tensor, "b 1 m n"]:
    """One forward: blocks folded into channels, through the UNet in its own precision, and back; float32.

    Args:
        unshuffle: side of the blocks. index: discrete times. states: token states. pooled: see pixel_unet.pool_text.
    """
    dtype = unet.dtype
    folded = F.pixel_unshuffle(z_t, unshuffle).to(dtype)
    output = unet(folded, index, states.to(dtype), class_labels=pooled.to(dtype), return_dict=False)[0]
    return F.pixel_shuffle(output.float(), unshuffle)
