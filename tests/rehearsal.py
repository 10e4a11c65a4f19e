"""A GPU that is none: the CPU behind it, Warp's CPU device for its kernels, and everything small."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import torch
from sds3d.representations.raster.warp.modules import kernel_modules

from sds3d.config.options import Options
from sds3d.core.devices import Cuda
from sds3d.priors.kinds import embedded
from sds3d.testing.gpu.bench import Amounts, Bench, Gpu, Sizes

FINE = Cuda("2.13.0", "12.6", "12.8", ("NVIDIA Rehearsal",))
TINY = Amounts(gaussians=60, side=24, views=2, resolution=9, rays=200, faces=30, points=300)
RUN = {
    "representation.init.count": 80,
    "optimize.views": 2,
    "optimize.size": 16,
    "pictures.turntable_frames": 2,
    "pictures.turntable_size": 32,
    "pictures.contact_views": 2,
    "pictures.contact_size": 24,
}


class Rehearsal(Gpu):
    """Answers of a GPU with 24 GB, all of them free to be changed by a test."""

    implementations = ("warp",)
    rasterizer = "warp"
    rehearsed = True

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.cuda, self.failed, self.compute = FINE, "", (8, 9)
        self.free, self.held = 22 * 10**9, 10**9
        self.files = [m for m in kernel_modules() if m.__name__.endswith("march_kernels")]

    def found(self) -> Cuda:
        return self.cuda

    def attempt(self) -> str:
        return self.failed

    def capability(self) -> tuple[int, int]:
        return self.compute

    def memory(self) -> tuple[int, int]:
        return self.free, 24 * 10**9

    def restart_peak(self) -> None:
        """Nothing is kept."""

    def peak(self) -> int:
        return self.held

    def settle(self) -> None:
        """A CPU is never behind."""

    def kernel_modules(self) -> list[ModuleType]:
        return self.files


def bench(folder: Path, prior: Options | None = None, steps: int = 4) -> Bench:
    """An examination of a Rehearsal, in which nothing takes long."""
    options = prior or embedded.Options(precision="float32")
    return Bench(Rehearsal(), folder, options, Sizes(TINY, TINY, steps, RUN))
