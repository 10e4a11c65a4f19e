"""Finding plug-ins by scanning a package, without importing them."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points


def scan(package: str, group: str | None = None) -> dict[str, str]:
    """Names of a package's public submodules and of installed entry points.

    Args:
        package: dotted name of an importable package.
        group: entry-point group that third parties may register in, such as "sds3d.guidance".

    Returns:
        name -> dotted module name, sorted by name; a third party's name never replaces ours.
    """
    found = {e.name: e.value for e in entry_points(group=group)} if group else {}
    root = importlib.import_module(package)
    for info in pkgutil.iter_modules(root.__path__):
        if not info.name.startswith("_"):
            found[info.name] = f"{package}.{info.name}"
    return dict(sorted(found.items()))
