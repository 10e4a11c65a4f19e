"""Splats of a file, edited where they lie."""

from .model import EditedSplats, create
from .options import Options

__all__ = ["EditedSplats", "Options", "create"]
