"""sds3d: 3D assets from text, images or scenes by score distillation."""

__version__ = "0.1.0.dev0"
