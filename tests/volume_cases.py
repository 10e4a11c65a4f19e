"""A volume for tests of what texts make."""

import torch

from sds3d.priors.text_volume import TextVolume


def drawn(seed: int) -> TextVolume:
    """Lumps without any symmetry, and others for other texts."""
    volume = TextVolume(text=6, hidden=8, side=5, samples=8)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in volume.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    return volume.requires_grad_(False)
