"""3D Gaussians, drawn by splatting."""

from .model import GaussianModel, create, from_asset
from .options import Options

__all__ = ["GaussianModel", "Options", "create", "from_asset"]
