"""COLMAP captures: a sparse model, and the photographs that it was made of."""

from __future__ import annotations

from pathlib import Path

import torch

from ..core.errors import AssetError
from .cameras_colmap import read_model
from .capture import Capture, Photo, check_photos
from .files import sibling


def read_colmap_capture(model: Path, given: Path, images: str | Path | None) -> Capture:
    """The capture of a model.

    Args:
        model: the folder of cameras and images. given: what was asked for. images: the folder of the pictures.

    Raises:
        AssetError: see read_capture.
    """
    found = read_model(model)
    folder = _pictures(model, given, images)
    masks = folder.parent / "masks"
    photos = []
    for image, c2w in zip(found.images, torch.from_numpy(found.c2w()), strict=True):
        # the names of a model are foreign text: `sibling` refuses what leads out of the folder of the pictures
        file = sibling(folder / found.file.name, image.name.replace("%", "%25"), must_exist=False)
        # COLMAP's own way of naming a mask: the whole name of the picture, then .png
        mask = masks / f"{image.name}.png" if masks.is_dir() else None
        mask = None if mask is None or not mask.is_file() else mask
        photos.append(Photo(image.name, file, c2w, found.lenses[image.camera], mask))
    names = ("cameras", "images", "points3D")
    files = (model / f"{name}{found.file.suffix}" for name in names)
    kept = tuple(file for file in files if file.is_file())
    return Capture(model, "colmap", check_photos(photos, found.file), found.points, kept)


def _pictures(model: Path, given: Path, images: str | Path | None) -> Path:
    """The folder of the pictures."""
    if images is not None:
        places = [given / images, Path(images)]
    else:
        places = [folder / "images" for folder in (given, model, *model.absolute().parents[:3])]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise AssetError(
            f"{model}: the folder of its pictures is not found, neither as {places[0]} nor elsewhere near it. Name it "
            "with capture.images=FOLDER."
        )
    return folder
