"""A recording taken apart: several sounds that add up to it."""

from .model import Separation, create
from .options import Options

__all__ = ["Options", "Separation", "create"]
