"""Triangle mesh on a lattice of signed distances: DMTet and FlexiCubes."""

from .model import TetMesh, create
from .options import Options
from .start import from_asset

__all__ = ["Options", "TetMesh", "create", "from_asset"]
