"""Readers and writers of asset formats: GLB and glTF, OBJ, PLY, splats as PLY, pictures and turntables."""

from .describe import describe
from .kinds import KINDS, kind_of, read, write

__all__ = ["KINDS", "describe", "kind_of", "read", "write"]
