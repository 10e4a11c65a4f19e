"""Whether a package with compiled CUDA kernels is there: found, and imported without starting a build."""

from __future__ import annotations

import importlib
import importlib.util


def obstacle(title: str, package: str, module: str, install: str) -> str:
    """Why the compiled module of a package cannot be used; "" where it can.

    Args:
        title: the package's name for people. package: its name in Python. module: what is imported, which must not
            compile anything. install: how to get it, for the text.
    """
    if importlib.util.find_spec(package) is None:
        return f"{title} is not installed: {install}"
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: built for another card
        return f"{title}'s compiled module does not import ({error}): {install}"
    return ""
