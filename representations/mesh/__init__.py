"""A textured mesh: a surface that stays, or nearly so, and a texture that is learned on it."""

from .model import MeshModel, create, from_asset
from .options import Options

__all__ = ["MeshModel", "Options", "create", "from_asset"]
