"""A mesh file, edited where it lies: its own triangles, texture coordinates, pictures and materials."""

from .model import EditedMesh, create
from .options import Options

__all__ = ["EditedMesh", "Options", "create"]
