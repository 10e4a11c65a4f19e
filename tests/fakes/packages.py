"""Stand-ins in the place of packages that are not installed."""

from __future__ import annotations

import sys
import types


def install(monkeypatch, module: types.ModuleType) -> types.ModuleType:
    """Have `import <the module's name>` find it until the test ends; a package above it is made as well.

    Example: install(monkeypatch, nvdiffrast_torch.make(device)).
    """
    parent, _, name = module.__name__.rpartition(".")
    if parent:
        package = types.ModuleType(parent)
        package.__path__ = []
        setattr(package, name, module)
        monkeypatch.setitem(sys.modules, parent, package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module
