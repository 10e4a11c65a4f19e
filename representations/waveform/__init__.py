"""A sound, sample by sample."""

from .model import Waveform, create
from .options import Options

__all__ = ["Options", "Waveform", "create"]
