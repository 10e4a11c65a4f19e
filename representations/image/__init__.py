"""A picture, in pixels or in the prior's latents: for study, and for editing."""

from .model import ImageModel, create
from .options import Options

__all__ = ["ImageModel", "Options", "create"]
