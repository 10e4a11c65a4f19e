"""A GPU that is none: the CPU behind it, and Warp's CPU device for its kernels."""

from __future__ import annotations

from types import ModuleType

import torch

from ...core.devices import Cuda
from .bench import Gpu


class Rehearsal(Gpu):
    """Answers of a GPU with 24 GB where all is well; a test changes the attributes to have it otherwise.

    `cuda`: what torch and the driver say. `failed`: why a small sum fails. `compute`: capability. `free`, `held`: bytes
    that are free, and that a run held at most. `files`: modules of kernels to compile.
    """

    implementations = ("warp",)
    rasterizer = "warp"
    rehearsed = True

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.cuda = Cuda(torch.__version__, "12.6", "12.8", ("the CPU in the place of a GPU",))
        self.failed, self.compute = "", (8, 9)
        self.free, self.held = 22 * 10**9, 10**9
        self.files: list[ModuleType] = []

    def found(self) -> Cuda:
        """See Gpu."""
        return self.cuda

    def attempt(self) -> str:
        """See Gpu."""
        return self.failed

    def capability(self) -> tuple[int, int]:
        """See Gpu."""
        return self.compute

    def memory(self) -> tuple[int, int]:
        """See Gpu."""
        return self.free, 24 * 10**9

    def restart_peak(self) -> None:
        """A CPU's memory is not counted."""

    def peak(self) -> int:
        """See Gpu."""
        return self.held

    def kernel_modules(self) -> list[ModuleType]:
        """See Gpu."""
        return self.files
