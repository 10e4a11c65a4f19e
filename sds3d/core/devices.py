"""Which device a run goes to, and why a GPU that was asked for cannot be had."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch

from .errors import ConfigError

_log = logging.getLogger(__name__)
_WORD = re.compile(r"auto|cpu|cuda(:[0-9]+)?")

GET_WHEEL = (
    "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126 (docs/gpu.md says "
    "which index fits which driver)"
)
"""What gives a PyTorch with CUDA."""


@dataclass(frozen=True)
class Cuda:
    """What torch and the driver say of CUDA on this machine.

    Args:
        torch: torch's version. wheel: CUDA version it was built with ("12.6"), "" for a build without CUDA.
        driver: newest CUDA version that the driver serves, "" where there is no driver.
        names: of the devices that torch can use. problem: what the driver said when it was started, "" where all
            is well. hidden: the value of CUDA_VISIBLE_DEVICES, None where it is not set.
    """

    torch: str
    wheel: str = ""
    driver: str = ""
    names: tuple[str, ...] = ()
    problem: str = ""
    hidden: str | None = None

    def obstacle(self) -> str:
        """Why torch can use no device, and what to do about it; "" where it can."""
        if self.names:
            return ""
        if not self.wheel:
            what = f"this PyTorch ({self.torch}) was built without CUDA"
            have = f", and the driver is there (CUDA {self.driver})" if self.driver else ""
            return f"{what}{have}; install one that has it: {GET_WHEEL}"
        if not self.driver:
            return (
                f"this PyTorch was built for CUDA {self.wheel}, but there is no NVIDIA driver on this machine; "
                "install the driver (`nvidia-smi` shows that it works; in a container start it with --gpus all)"
            )
        if _major(self.driver) < _major(self.wheel):
            return (
                f"the NVIDIA driver serves CUDA up to {self.driver}, and this PyTorch was built for {self.wheel}; "
                f"update the driver, or install an older PyTorch build: {GET_WHEEL}"
            )
        if self.hidden is not None and self.hidden.strip() in ("", "-1"):
            return f"CUDA_VISIBLE_DEVICES={self.hidden!r} hides every device; unset it"
        reason = f" ({self.problem})" if self.problem else ""
        return (
            f"PyTorch and the driver (CUDA {self.driver}) are there, but the driver shows no device{reason}; look at "
            "`nvidia-smi`, and in a container start it with --gpus all"
        )


def _major(version: str) -> int:
    """CUDA promises that a driver serves every minor version of its major one."""
    return int(version.partition(".")[0])


def probe() -> Cuda:
    """What is there; asks the driver, takes no memory of a device."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    driver, problem = _driver()
    return Cuda(
        torch.__version__,
        torch.version.cuda or "",
        driver,
        tuple(torch.cuda.get_device_name(i) for i in range(count)),
        problem,
        os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def _driver() -> tuple[str, str]:
    """(CUDA version that the driver serves, "" without one; why it does not start, "" where it does)."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "", ""
    version = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    code = library.cuInit(0)
    text = ctypes.c_char_p()
    if code:
        library.cuGetErrorString(code, ctypes.byref(text))
    said = text.value.decode() if text.value else f"error {code}"
    return f"{version.value // 1000}.{version.value % 1000 // 10}", said if code else ""


def trial(device: torch.device) -> str:
    """Why a small sum fails there, such as kernels that were not built for this GPU; "" where it works."""
    try:
        torch.ones(2, device=device).sum().item()
    except RuntimeError as error:
        return str(error).strip().splitlines()[0]
    return ""


def settler(device: torch.device) -> Callable[[], None]:
    """A function that waits until the device has done all that it was asked; nothing is waited for on a CPU."""
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None


def check_word(word: str) -> str:
    """The word itself; ValueError where it names no device."""
    if not _WORD.fullmatch(word):
        raise ValueError(f"a device is auto, cpu, cuda or cuda:N (such as cuda:0), got {word!r}")
    return word


def no_obstacle(device: torch.device) -> str:
    """Nothing more is asked of a device than that torch can use it."""
    return ""


def resolve(
    word: str,
    look: Callable[[], Cuda] = probe,
    attempt: Callable[[torch.device], str] = trial,
    need: Callable[[torch.device], str] = no_obstacle,
    key: str = "device",
) -> torch.device:
    """The device that a word means; said once by name in the log.

    Args:
        word: auto (a usable CUDA device, else the CPU), cpu, cuda or cuda:N.
        look: tells what is there. attempt: tries a device, and tells why it fails.
        need: tells why a device that torch can use does not serve all the same, and what to do; "" where it does.
        key: where the word stands in the config.

    Raises:
        ConfigError: a CUDA device is asked for and cannot be had; the text tells a build without CUDA, no driver,
            an old one and no device apart, and says what to do.
    """
    if word == "cpu":
        return _said(torch.device("cpu"), "as asked")
    found = look()
    number = int(word.partition(":")[2] or 0)
    reason = found.obstacle()
    if not reason and number >= len(found.names):
        named = ", ".join(f"cuda:{i} {name}" for i, name in enumerate(found.names))
        reason = f"there is no cuda:{number}; this machine has {named}"
    device = torch.device("cuda", number)
    if not reason and (failed := attempt(device)):
        reason = f"{found.names[number]} is there, but PyTorch cannot use it ({failed}); {GET_WHEEL}"
    reason = reason or need(device)
    if not reason:
        return _said(device, found.names[number])
    if word != "auto":
        raise ConfigError(
            f"{word} was asked for: {reason.rstrip('.')}.",
            key=key,
            hint=f"Or set {key}=cpu (slow for big models).",
        )
    if found.names or found.driver:  # a GPU that is not used is worth a word
        _warn_once(f"device: cpu, though there is a GPU or its driver: {reason}")
    return _said(torch.device("cpu"), "no CUDA device that can be used")


@cache
def _warn_once(text: str) -> None:
    _log.warning(text)


@cache
def _said(device: torch.device, detail: str) -> torch.device:
    _log.info("device: %s (%s)", device, detail)
    return device
