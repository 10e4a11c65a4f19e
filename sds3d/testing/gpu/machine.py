"""The machine: driver, PyTorch, memory, Warp's compiler."""

from __future__ import annotations

from dataclasses import dataclass

from sds3d.representations.raster.gaussians_gsplat import gsplat_status
from sds3d.representations.raster.warp.runtime import warp_status

from .bench import Bench
from .finding import Outcome

LEAST_CAPABILITY = (7, 5)
LEAST_FREE = 2 * 10**9


@dataclass(frozen=True)
class Driver:
    """Whether PyTorch can use the GPU at all."""

    name: str = "driver"
    does: str = "ask the driver and PyTorch for the GPU, and add two numbers there"
    needs: tuple[str, ...] = ()

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        found = bench.gpu.found()
        numbers = {
            "torch": found.torch,
            "wheel": found.wheel,
            "driver": found.driver,
            "gpus": list(found.names),
        }
        reason = found.obstacle()
        if reason:
            what, _, advice = reason.partition("; ")
            return Outcome(what, advice or "Look at `nvidia-smi`.", numbers)
        number = bench.gpu.device.index or 0
        if number >= len(found.names):
            return Outcome(
                f"there is no GPU {number}", f"This machine has {', '.join(found.names)}.", numbers
            )
        name = found.names[number]
        if failed := bench.gpu.attempt():
            return Outcome(
                f"{name} is there, but PyTorch cannot compute on it: {failed}", devices_wheel(), numbers
            )
        major, minor = bench.gpu.capability()
        numbers["capability"] = f"{major}.{minor}"
        told = f"{name}, compute capability {major}.{minor}; driver serves CUDA {found.driver}, PyTorch {found.torch}"
        if (major, minor) < LEAST_CAPABILITY:
            return Outcome(
                told, "This GPU is too old: 7.5 (Turing, 2018) or newer is needed. Use device=cpu.", numbers
            )
        return Outcome(told, numbers=numbers)


def devices_wheel() -> str:
    """What helps where PyTorch and the GPU do not fit."""
    from ...core.devices import GET_WHEEL

    return f"This PyTorch was built for other GPUs: {GET_WHEEL}."


@dataclass(frozen=True)
class Memory:
    """Whether there is room on the GPU."""

    name: str = "memory"
    does: str = "ask how much of the GPU's memory is free"
    needs: tuple[str, ...] = ("driver",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        free, whole = bench.gpu.memory()
        told = f"{free / 1e9:.1f} of {whole / 1e9:.1f} GB are free"
        advice = ""
        if free < LEAST_FREE:
            advice = (
                "At least 2 GB should be free: close other programs on the GPU (`nvidia-smi` lists them)."
            )
        return Outcome(told, advice, {"free": free, "whole": whole})


@dataclass(frozen=True)
class Warp:
    """Whether Warp compiles its kernels for this GPU."""

    name: str = "warp"
    does: str = "compile and load every file of Warp kernels for this GPU"
    needs: tuple[str, ...] = ("driver",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        if reason := warp_status(bench.gpu.device):
            return Outcome(reason.partition(": ")[0], f"{reason.partition(': ')[2]}.")
        import warp

        where, names = str(bench.gpu.device), []
        for module in bench.gpu.kernel_modules():
            short = module.__name__.rpartition(".")[2]
            try:
                warp.load_module(module, device=where)
            except Exception as error:  # Warp raises plain Exceptions and RuntimeErrors of its compiler
                cache = warp.config.kernel_cache_dir
                return Outcome(
                    f"{short}.py does not compile: {str(error).strip().splitlines()[0]}",
                    f"Delete Warp's cache ({cache}) and look again; if it stays, try another release "
                    "(pip install 'warp-lang<1.18' for drivers before 580) and report it with this file.",
                    {"module": short, "warp": warp.__version__},
                )
            names.append(short)
        return Outcome(f"warp-lang {warp.__version__}: {len(names)} files", numbers={"files": names})


@dataclass(frozen=True)
class Gsplat:
    """Whether gsplat's own kernels would draw."""

    name: str = "gsplat"
    does: str = "look for gsplat's compiled kernels"
    needs: tuple[str, ...] = ("driver",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        reason = gsplat_status(bench.gpu.device)
        if reason:
            return Outcome(f"not in use, Warp draws: {reason}", skipped=True)
        return Outcome("in use for Gaussians")
