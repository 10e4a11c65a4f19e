"""Neural radiance field: a hash grid and a small network."""

from .model import NerfModel, create
from .options import Options
from .start import from_asset

__all__ = ["NerfModel", "Options", "create", "from_asset"]
