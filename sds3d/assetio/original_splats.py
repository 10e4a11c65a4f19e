"""Splat files that are edited: raw columns out, changed rows back in, every other byte as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..core.assets import Splats
from ..core.errors import AssetError
from ..core.raw_splats import RawSplats
from .check import as_numpy, as_tensor
from .color import to_bytes
from .kinds import read
from .original import Source
from .ply_format import Element, parse_header, parse_ply
from .splat import ROW, SH_C0
from .splats import OPACITY_MARGIN, encode_splats, is_splats


class SplatsOriginal(Protocol):
    """A splat file that can be written again.

    `kind` is that of the files it writes, of assetio.kinds; `notes` say what does not come back as it was.
    """

    source: Source
    kind: str
    columns: RawSplats
    notes: tuple[str, ...]

    def patched(self, new: RawSplats) -> bytes:
        """The file with the rows that differ from `columns` replaced."""
        ...


def open_splats(source: Source) -> SplatsOriginal:
    """A splat file of any format.

    Raises:
        AssetError: it is broken, holds numbers that nobody can draw, or no splats.
    """
    splats = read(source.path).splats
    if splats is None or not len(splats.means):
        raise AssetError(f"{source.path}: holds no splats to edit.")
    if source.data.startswith(b"ply"):
        order, elements, _ = parse_header(source.data, source.path)
        names = {p.name for e in elements if e.name == "vertex" for p in e.properties}
        lists = any(p.length_type for e in elements for p in e.properties)
        if order and "f_dc_0" in names and not lists:
            return PlyOriginal(source)
    if source.path.suffix.lower() == ".splat":
        return SplatOriginal(source, splats)
    return Rewritten(source, splats)


class PlyOriginal:
    """A PLY of the 3D Gaussian splatting release; columns that it does not know are kept too."""

    kind = "3dgs"
    notes: tuple[str, ...] = ()

    def __init__(self, source: Source):
        self.source = source
        vertex = parse_ply(source.data, source.path)["vertex"]
        assert is_splats(vertex)
        self.rest = sum(name.startswith("f_rest_") for name in vertex.columns) // 3
        rows = {name: vertex.columns[name].astype(np.float32) for name in self._names()}

        def stacked(*names: str) -> Tensor:
            values = [rows[name] for name in names]
            return as_tensor(np.stack(values, axis=1) if values else np.zeros((vertex.count, 0), np.float32))

        higher = stacked(*(f"f_rest_{i}" for i in range(3 * self.rest))).reshape(vertex.count, 3, self.rest)
        self.columns = RawSplats(
            stacked("x", "y", "z"),
            stacked(*(f"scale_{i}" for i in range(3))),
            stacked(*(f"rot_{i}" for i in range(4))),
            as_tensor(rows["opacity"]),
            stacked(*(f"f_dc_{i}" for i in range(3))),
            higher.transpose(1, 2).contiguous(),
        )

    def _names(self) -> Iterator[str]:
        """The columns of Gaussians, in the order of `_values`."""
        yield from "xyz"
        for prefix, count in (("scale", 3), ("rot", 4), ("f_dc", 3), ("f_rest", 3 * self.rest)):
            yield from (f"{prefix}_{i}" for i in range(count))
        yield "opacity"

    def _values(self, columns: RawSplats) -> np.ndarray:
        """(N, C) float32, a column a name."""
        c = columns
        parts = [c.means, c.log_scales, c.rotations, c.sh_dc, c.sh_rest.transpose(1, 2).flatten(1)]
        return np.concatenate([*(as_numpy(p) for p in parts), as_numpy(c.logit_opacities)[:, None]], axis=1)

    def patched(self, new: RawSplats) -> bytes:
        """See SplatsOriginal; of a row only the numbers that differ are written."""
        old, values = self._values(self.columns), self._values(new)
        return patched_ply(
            self.source, dict(zip(self._names(), zip(old.T, values.T, strict=True), strict=True))
        )


def patched_ply(source: Source, columns: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """A binary PLY file without lists up to its vertices, with numbers of these replaced where they changed.

    Args:
        columns: name -> (values as read, new values), each (N,).
    """
    order, elements, start = parse_header(source.data, source.path)
    for element in elements:
        if element.name == "vertex":
            break
        start += element.count * _row(element, order).itemsize
    out = bytearray(source.data)
    rows = np.frombuffer(out, _row(element, order), element.count, start)
    for name, (old, new) in columns.items():
        changed = old != new
        rows[name][changed] = new[changed]
    return bytes(out)


def _row(element: Element, order: str) -> np.dtype:
    return np.dtype([(p.name, order + p.type) for p in element.properties])


class SplatOriginal:
    """A .splat file: 32 bytes a Gaussian, in the order of the file."""

    kind = "splat"
    notes: tuple[str, ...] = ()

    def __init__(self, source: Source, splats: Splats):
        self.source, self.columns = source, raw_columns(splats)

    def patched(self, new: RawSplats) -> bytes:
        """See SplatsOriginal."""
        out = bytearray(self.source.data)
        rows, old = np.frombuffer(out, ROW), self.columns
        _replace(rows["mean"], old.means, new.means, as_numpy(new.means))
        _replace(rows["scale"], old.log_scales, new.log_scales, as_numpy(new.log_scales.exp()))
        _replace(rows["rgba"][:, :3], old.sh_dc, new.sh_dc, to_bytes(0.5 + SH_C0 * as_numpy(new.sh_dc)))
        opacity = to_bytes(as_numpy(torch.sigmoid(new.logit_opacities)))
        _replace(rows["rgba"][:, 3], old.logit_opacities, new.logit_opacities, opacity)
        unit = torch.nn.functional.normalize(new.rotations.double(), dim=1)
        turned = np.rint(as_numpy(unit, np.float64) * 128 + 128).clip(0, 255)
        _replace(rows["rotation"], old.rotations, new.rotations, turned)
        return bytes(out)


def _replace(rows: np.ndarray, old: Tensor, new: Tensor, coded: np.ndarray) -> None:
    """Write the rows of `coded` in which new differs from old."""
    changed = as_numpy((old != new).reshape(len(old), -1).any(1), bool)
    rows[changed] = coded[changed]


class Rewritten:
    """A packed format or text, in which no Gaussian has bytes of its own: it comes back as a binary 3DGS PLY of the
    same numbers."""

    kind = "3dgs"

    def __init__(self, source: Source, splats: Splats):
        self.source, self.columns = source, raw_columns(splats)
        self.notes: tuple[str, ...] = (
            f"{source.path.name} is packed or text: the result is written as a binary 3DGS PLY of the same numbers",
        )

    def patched(self, new: RawSplats) -> bytes:
        """See SplatsOriginal."""
        return encode_splats(new.to_splats(self.source.path.stem))


def raw_columns(splats: Splats) -> RawSplats:
    """The columns behind activated Gaussians; opacities stay off 0 and 1, scales off 0."""
    opacity = splats.opacities.double().clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    return RawSplats(
        splats.means,
        splats.scales.clamp_min(1e-30).log(),
        splats.rotations,
        torch.logit(opacity).float(),
        splats.sh[:, 0],
        splats.sh[:, 1:],
    )
