"""What the speed switches and the memory tiers of published models do on this machine, as ratios within one run.

    OMP_NUM_THREADS=1 python benchmarks/published.py [--side 32] [--width 64] [--repeats 5] [--compile] [--json F]

A UNet and an autoencoder of Stable Diffusion's architecture with fewer channels and random weights: forward passes of
the one without a gradient, encoding with a gradient by the other. Times are CPU time of the calling thread, the least
of several calls, each switch against the plain network measured just before it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timing import least

from sds3d.priors.speed import attention_kernel
from sds3d.priors.thrift import take_turns, use_tiles


def unet(width: int, side: int) -> Any:
    """Stable Diffusion 1.x's UNet with `width` channels at its first level instead of 320."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    network = UNet2DConditionModel(
        sample_size=side,
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        cross_attention_dim=256,
        attention_head_dim=8,
        norm_num_groups=32,
    )
    return network.eval().requires_grad_(False)


def autoencoder(width: int) -> Any:
    """Stable Diffusion's autoencoder with `width` channels at its first level instead of 128."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        norm_num_groups=32,
        sample_size=256,
    )
    return vae.eval().requires_grad_(False)


def forward(network: Any, side: int, kernel: str = "auto") -> Callable[[], None]:
    """A prediction for two views."""
    dtype = network.dtype
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(2, 4, side, side, generator=generator).to(dtype)
    words = torch.randn(2, 77, 256, generator=generator).to(dtype)

    def call() -> None:
        with torch.no_grad(), attention_kernel(kernel):
            network(z, torch.tensor([500, 500]), words)

    return call


def encode(vae: Any, side: int) -> Callable[[], None]:
    """Two pictures encoded, and the way back."""
    rgb = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def call() -> None:
        z = vae.encode(2 * rgb.to(vae.dtype) - 1).latent_dist.mode()
        torch.autograd.grad(z.square().sum(), rgb)

    return call


def denoisers(width: int, side: int, compiled: bool) -> dict[str, Callable[[], Callable[[], None]]]:
    """Switch -> what makes the call to be timed."""
    cases: dict[str, Callable[[], Callable[[], None]]] = {
        "channels_last": lambda: forward(unet(width, side).to(memory_format=torch.channels_last), side),
        "attention=math": lambda: forward(unet(width, side), side, "math"),
        "attention=flash": lambda: forward(unet(width, side), side, "flash"),
        "precision=bfloat16": lambda: forward(unet(width, side).to(torch.bfloat16), side),
    }
    if compiled:
        cases["compile"] = lambda: forward(_compiled(unet(width, side)), side)
    return cases


def _compiled(network: Any) -> Any:
    network.compile_repeated_blocks() if getattr(network, "_repeated_blocks", None) else network.compile()
    return network


def encoders(width: int) -> dict[str, Callable[[int], Any]]:
    """Switch -> the autoencoder that it makes."""

    def changed(change: Callable[[Any], object]) -> Callable[[int], Any]:
        def make(side: int) -> Any:
            vae = autoencoder(width)
            change(vae)
            return vae

        return make

    return {
        "memory=lean": changed(take_turns),
        "memory=tight": changed(lambda vae: take_turns(vae, whole=True)),
        "vae_tiles=half": lambda side: _tiled(autoencoder(width), side // 2),
        "channels_last": changed(lambda vae: vae.to(memory_format=torch.channels_last)),
    }


def _tiled(vae: Any, side: int) -> Any:
    take_turns(vae, whole=True)
    use_tiles(vae, side, 8)
    return vae


def ratio(plain: Callable[[], None], other: Callable[[], None], repeats: int) -> tuple[float, float, float]:
    """(seconds of the first call, milliseconds, share of the plain call's time)."""
    start = time.perf_counter()
    other()
    first = time.perf_counter() - start
    plain()
    base = least(plain, repeats)
    taken = least(other, repeats)
    return first, taken, taken / base


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=32, help="side of the latents in cells")
    parser.add_argument("--width", type=int, default=64, help="channels of the UNet's first level")
    parser.add_argument("--pixels", type=int, default=128, help="side of the pictures that are encoded")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well, which takes minutes")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, float]] = {}
    plain = forward(unet(given.width, given.side), given.side)
    for name, make in denoisers(given.width, given.side, given.compile).items():
        found[f"denoiser, {name}"] = _row(ratio(plain, make(), given.repeats))
    plain = encode(autoencoder(given.width), given.pixels)
    for name, make_vae in encoders(given.width).items():
        call = encode(make_vae(given.pixels), given.pixels)
        found[f"encoder, {name}"] = _row(ratio(plain, call, given.repeats))
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, one thread")
    print(f"{'':32}{'first call':>12}{'ms':>10}{'of plain':>10}")
    for name, row in found.items():
        print(f"{name:32}{row['first_s']:10.1f} s{row['ms']:10.1f}{row['share']:10.2f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def _row(numbers: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("first_s", "ms", "share"), numbers, strict=True))


if __name__ == "__main__":
    main()
