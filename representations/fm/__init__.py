"""A sound from oscillators that modulate each other's phase: FM synthesis."""

from .model import FmModel, create
from .options import Options

__all__ = ["FmModel", "Options", "create"]
