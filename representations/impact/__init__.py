"""A sound of something that is struck: a bank of modes and a room of filtered noise."""

from .model import ImpactModel, create
from .options import Options

__all__ = ["ImpactModel", "Options", "create"]
