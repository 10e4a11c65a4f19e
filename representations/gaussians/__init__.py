"""3D Gaussians, drawn by splatting."""

from .model import GaussianModel, create
from .options import Options

__all__ = ["GaussianModel", "Options", "create"]
