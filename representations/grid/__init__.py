"""Multi-resolution dense radiance field."""

from .field import GridField, create
from .options import Options
from .start import from_asset

__all__ = ["GridField", "Options", "create", "from_asset"]
