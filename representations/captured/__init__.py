"""Gaussians fitted to photographs."""

from .model import CapturedGaussians, create
from .options import Options

__all__ = ["CapturedGaussians", "Options", "create"]
