"""What the checks work on: the GPU behind a few functions, sizes, and what earlier checks left for later ones.

Nothing else of the checks asks torch about CUDA, so that a stand-in with the CPU behind it rehearses them whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ...config.options import Options
from ...core import devices
from ...jobs.runfolder import RunFolder
from ...jobs.schema import RunConfig
from ...optimize.events import StepReport
from ...optimize.stage import Stage
from ...optimize.state import RunState
from ...priors.base import Prior


class Gpu:
    """A CUDA device.

    Args:
        number: its index.
    """

    implementations: tuple[str, ...] = ("warp", "gsplat", "tcnn", "nerfacc")
    """Kernels to compare with their twins, where they are installed."""
    rasterizer = "auto"
    """Kernels that draw in the run."""
    rehearsed = False
    """Whether this only stands for a GPU."""

    def __init__(self, number: int = 0):
        self.device = torch.device("cuda", number)

    def found(self) -> devices.Cuda:
        """What torch and the driver say."""
        return devices.probe()

    def attempt(self) -> str:
        """Why a small sum fails, "" where it works."""
        return devices.trial(self.device)

    def capability(self) -> tuple[int, int]:
        """Compute capability."""
        return torch.cuda.get_device_capability(self.device)

    def memory(self) -> tuple[int, int]:
        """(free, all) bytes."""
        return torch.cuda.mem_get_info(self.device)

    def restart_peak(self) -> None:
        """Forget the highest use of memory so far."""
        torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> int:
        """Most bytes that torch held at once since `restart_peak`."""
        return torch.cuda.max_memory_reserved(self.device)

    def settle(self) -> None:
        """Wait until the device has done all that it was asked."""
        devices.settler(self.device)()

    def kernel_modules(self) -> list[ModuleType]:
        """The modules of Warp kernels to compile."""
        from sds3d.representations.raster.warp.modules import kernel_modules

        return kernel_modules()


@dataclass(frozen=True)
class Sizes:
    """How large the inputs of the kernels are, and how long the run is.

    Args:
        agree, speed: for the comparison with the twins, and for times. steps: of the run.
        run: options of the run that differ from the defaults, by dotted key.
    """

    agree: Amounts
    speed: Amounts
    steps: int = 20
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Amounts:
    """Sizes of one set of inputs: pictures are `side` pixels high and a third wider, with `views` of them."""

    gaussians: int
    side: int
    views: int
    resolution: int
    rays: int
    faces: int
    points: int


AGREE = Amounts(gaussians=300, side=48, views=2, resolution=24, rays=2000, faces=200, points=4000)
SPEED = Amounts(gaussians=100_000, side=256, views=4, resolution=96, rays=65536, faces=20_000, points=1 << 20)


@dataclass
class Bench:
    """One examination.

    Args:
        gpu: the device. folder: where the run's files go, emptied by whoever made it.
        prior: options of the model that judges. sizes: see Sizes.
        priors: those that are loaded. done: what the run left, once it has been made.
    """

    gpu: Gpu
    folder: Path
    prior: Options
    sizes: Sizes = field(default_factory=lambda: Sizes(AGREE, SPEED))
    priors: dict[str, Prior] = field(default_factory=dict)
    done: Done | None = None


@dataclass(frozen=True)
class Done:
    """A run that was made.

    Args:
        config, folder, stage, state: of the run. reports: of its steps. peak: most bytes of the GPU that it held.
    """

    config: RunConfig
    folder: RunFolder
    stage: Stage
    state: RunState
    reports: list[StepReport]
    peak: int
