"""Readers and writers of asset formats: GLB and glTF, OBJ, USDZ, STL, PLY, splats in four formats, pictures, films."""

from .describe import describe
from .kinds import KINDS, kind_of, kinds_for, read, write

__all__ = ["KINDS", "describe", "kind_of", "kinds_for", "read", "write"]
