"""The modules of this package that hold kernels, found by looking."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from ..dispatch import RasterError
from .runtime import warp_module


def kernel_modules() -> list[ModuleType]:
    """Modules in which a kernel is defined, by name.

    Raises:
        RasterError: Warp is not installed.
    """
    warp, reason = warp_module()
    if warp is None:
        raise RasterError(reason)
    package = __name__.rpartition(".")[0]
    folder = importlib.import_module(package).__path__
    names = sorted(info.name for info in pkgutil.iter_modules(folder) if f"{package}.{info.name}" != __name__)
    modules = [importlib.import_module(f"{package}.{name}") for name in names]
    return [module for module in modules if kernels_of(module)]


def kernels_of(module: ModuleType) -> dict[str, object]:
    """The kernels that a module defines itself, by name; not those that it imports."""
    warp, _ = warp_module()
    if warp is None:
        return {}
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, warp.Kernel) and value.module.name == module.__name__
    }
