"""sds3d: 3D assets from text, images or scenes by score distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Result, generate

__version__ = "0.1.0.dev0"
__all__ = ["Result", "__version__", "generate"]


def __getattr__(name: str) -> Any:
    """`generate` and `Result` are imported at their first use, so that `import sds3d` costs nothing."""
    if name in ("generate", "Result"):
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
