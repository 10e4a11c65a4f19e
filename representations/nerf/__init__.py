"""Neural radiance field: a hash grid and a small network."""

from .model import NerfModel, create
from .options import Options

__all__ = ["NerfModel", "Options", "create"]
