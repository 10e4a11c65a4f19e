"""Rendering the training pictures to one file, in several processes; stopped and started again at will."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ..assetio.files import write_atomic
from ..core.errors import Sds3dError
from ..core.streams import Streams
from ..objects.shape import Shape
from .layers import LAYERS, render_layers, shape_of
from .options import PictureOptions
from .plan import Picture, plan

_CHUNK = 512


def fingerprint(pictures: Sequence[Picture], size: int) -> str:
    """Hash of a plan: which pictures, of which size, in which order; it changes when the catalogue does."""
    lines = [
        f"{[k.name for k in p.subject.kinds]} {p.subject.relation} {p.subject.pattern} {p.build} {p.azimuth_deg:.4f}"
        for p in pictures
    ]
    return hashlib.blake2b("\n".join([str(size), *lines]).encode(), digest_size=8).hexdigest()


def render_set(
    options: PictureOptions, folder: Path, workers: int = 1, report: Callable[[int, int], None] | None = None
) -> Path:
    """Render what is missing of the set.

    Args:
        folder: gets pictures.npy, (N, size, size, 8) bytes, and pictures.json, which says which chunks are there.
        workers: processes. report: called with (done, all) pictures.

    Returns:
        The path of pictures.npy.
    """
    pictures = plan(options)
    mark = fingerprint(pictures, options.size)
    folder.mkdir(parents=True, exist_ok=True)
    path, ledger = folder / "pictures.npy", folder / "pictures.json"
    shape = (len(pictures), options.size, options.size, LAYERS)
    known = json.loads(ledger.read_text()) if ledger.exists() and path.exists() else {}
    done = set(known.get("chunks", [])) if known.get("fingerprint") == mark else set()
    if not done:
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
    chunks = [c for c in range(-(-len(pictures) // _CHUNK)) if c not in done]
    with ProcessPoolExecutor(workers) as pool:
        for chunk in pool.map(_render_chunk, [(options, path, c) for c in chunks]):
            done.add(chunk)
            text = json.dumps({"fingerprint": mark, "chunks": sorted(done)})
            write_atomic(ledger, text.encode(), overwrite=True)
            if report:
                report(min(len(done) * _CHUNK, len(pictures)), len(pictures))
    return path


def _render_chunk(job: tuple[PictureOptions, Path, int]) -> int:
    """Render one chunk into the file; returns its number."""
    options, path, chunk = job
    torch.set_num_threads(1)
    pictures = plan(options)[chunk * _CHUNK : (chunk + 1) * _CHUNK]
    out = np.lib.format.open_memmap(path, mode="r+")
    streams, last, shape = Streams(options.seed), None, None
    for offset, picture in enumerate(pictures):
        same = (picture.subject, picture.build)
        if same != last or shape is None:
            last, shape = same, shape_of(picture, streams)
        out[chunk * _CHUNK + offset] = render_bytes(picture, shape, options.size)
    out.flush()
    return chunk


def render_bytes(picture: Picture, shape: Shape, size: int) -> np.ndarray:
    """One picture's layers as bytes, (size, size, 8)."""
    layers = render_layers(shape, picture.azimuth_deg, picture.elevation_deg, size, picture.subject.pattern)
    return (layers.clamp(0, 1) * 255 + 0.5).byte().numpy()


def open_set(options: PictureOptions, folder: Path) -> tuple[np.ndarray, list[Picture]]:
    """The rendered layers (N, size, size, 8), read from disk as needed, and the plan.

    Raises:
        Sds3dError: the set is not there, not complete, or of another catalogue.
    """
    path, ledger = folder / "pictures.npy", folder / "pictures.json"
    pictures = plan(options)
    known = json.loads(ledger.read_text()) if ledger.exists() else {}
    whole = len(known.get("chunks", [])) == -(-len(pictures) // _CHUNK)
    if not path.exists() or not whole or known.get("fingerprint") != fingerprint(pictures, options.size):
        raise Sds3dError(f"{folder}: no complete set of pictures of this catalogue; run: sds3d prior train")
    return np.load(path, mmap_mode="r"), pictures
