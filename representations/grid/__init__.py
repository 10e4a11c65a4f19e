"""Multi-resolution dense radiance field."""

from .field import GridField, create
from .options import Options

__all__ = ["GridField", "Options", "create"]
