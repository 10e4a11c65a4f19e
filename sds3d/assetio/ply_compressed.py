"""Compressed splat PLY, the format of PlayCanvas and SuperSplat: 16 bytes a splat, in chunks of 256.

Element `chunk` holds the smallest and largest position, log scale and colour of each chunk, `vertex` four uint32:
position and scale as 11, 10, 11 bits between those bounds, rotation as the index of the largest of w x y z and 10
bits for each other, colour and opacity as 8 bits each; `sh` the higher harmonics, 8 bits over [-4, 4].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.assets import Splats
from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .ply_format import Table, build_ply
from .provenance import NOTHING, Provenance, comments
from .quaternions import from_smallest_three, smallest_three
from .splat import SH_C0

CHUNK = 256
_AXES = [f"{end}_{axis}" for end in ("min", "max") for axis in "xyz"]
_SCALES = [f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz"]
_COLORS = [f"{end}_{axis}" for end in ("min", "max") for axis in "rgb"]
_PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
_LOG_SCALE = 20.0


def encode_compressed(splats: Splats, provenance: Provenance = NOTHING) -> bytes:
    """A file; splats go out along a Z-order curve, so that a chunk is small and its bounds tight.

    Colours outside the chunk's bounds do not occur, log scales beyond ±20 are cut.
    """
    order = z_order(as_numpy(splats.means, np.float64))
    mean = as_numpy(splats.means, np.float64)[order]
    scale = np.log(as_numpy(splats.scales, np.float64)[order]).clip(-_LOG_SCALE, _LOG_SCALE)
    color = 0.5 + SH_C0 * as_numpy(splats.sh[:, 0], np.float64)[order]
    opacity = as_numpy(splats.opacities, np.float64)[order]
    starts = np.arange(0, len(mean), CHUNK)
    bounds = np.empty(len(starts), dtype=[(name, "<f4") for name in _AXES + _SCALES + _COLORS])
    shares = []
    for names, values in ((_AXES, mean), (_SCALES, scale), (_COLORS, color)):
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        for name, column in zip(names, np.concatenate([low, high], axis=1).T, strict=True):
            bounds[name] = column
        shares.append(_share(values, low.astype(np.float32), high.astype(np.float32)))
    largest, rest = smallest_three(_unit(as_numpy(splats.rotations, np.float64)[order]))
    turned = _bits(rest * np.sqrt(0.5) + 0.5, (10, 10, 10)) | largest.astype(np.uint32) << 30
    shades = np.concatenate([shares[2], opacity[:, None]], axis=1)
    rows = np.empty(len(mean), dtype=[(name, "<u4") for name in _PACKED])
    rows["packed_position"], rows["packed_scale"] = (_bits(s, (11, 10, 11)) for s in shares[:2])
    rows["packed_rotation"], rows["packed_color"] = turned, _bits(shades, (8, 8, 8, 8))
    tables = [("chunk", bounds), ("vertex", rows)]
    if splats.sh.shape[1] > 1:
        higher = as_numpy(splats.sh[:, 1:].transpose(1, 2).flatten(1), np.float64)[order]
        stored = np.empty(len(mean), dtype=[(f"f_rest_{i}", "u1") for i in range(higher.shape[1])])
        for name, column in zip(stored.dtype.names or (), higher.T, strict=True):
            stored[name] = np.trunc((column / 8 + 0.5) * 256).clip(0, 255)
        tables.append(("sh", stored))
    return build_ply(tables, comments=("sds3d: +Y up, front +Z", *comments(provenance)))


def is_compressed(table: Table) -> bool:
    """Whether a vertex table is packed."""
    return "packed_position" in table.columns


def decode_compressed(tables: dict[str, Table], path: Path) -> Splats:
    """The splats of a file's tables.

    Raises:
        AssetError: a table or column is missing, of another type or length, or the harmonics fit no degree.
    """
    vertex, chunk = tables["vertex"], tables.get("chunk")
    if chunk is None or chunk.count * CHUNK < vertex.count:
        raise AssetError(f"{path}: is a compressed splat PLY without a chunk for each {CHUNK} splats.")
    packed = [_column(vertex, name, "u4", path) for name in _PACKED]
    owner = np.arange(vertex.count) // CHUNK
    position, scale = (_shares(packed[i], (11, 10, 11)) for i in (0, 2))
    shade = _shares(packed[3], (8, 8, 8, 8))
    color = shade[:, :3]
    if _COLORS[0] in chunk.columns:
        color = _between(color, chunk, _COLORS, owner, path)
    rest = (_shares(packed[1] & np.uint32(0x3FFFFFFF), (10, 10, 10)) - 0.5) / np.sqrt(0.5)
    sh = ((color - 0.5) / SH_C0)[:, None]
    if "sh" in tables:
        sh = np.concatenate([sh, _harmonics(tables["sh"], vertex.count, path)], axis=1)
    return Splats(
        means=as_tensor(_between(position, chunk, _AXES, owner, path)),
        scales=as_tensor(np.exp(_between(scale, chunk, _SCALES, owner, path))),
        rotations=as_tensor(from_smallest_three((packed[1] >> 30).astype(np.int64), rest)),
        opacities=as_tensor(shade[:, 3]),
        sh=as_tensor(sh),
        name=path.stem.removesuffix(".compressed"),
    )


def z_order(points: np.ndarray) -> np.ndarray:
    """(N,) order of (N, 3) points along the Z-order curve (Morton 1966) of a lattice of 1024 cells an axis."""
    low, span = points.min(0), np.ptp(points, axis=0).max()
    cell = ((points - low) / (span if span > 0 else 1.0) * 1023).astype(np.int64)
    code = np.zeros(len(points), dtype=np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= (cell[:, axis] >> bit & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _share(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where between its chunk's bounds each value lies, in [0, 1]; 0 where they coincide."""
    owner = np.arange(len(values)) // CHUNK
    span = (high.astype(np.float64) - low)[owner]
    return ((values - low[owner]) / np.where(span > 1e-5, span, np.inf)).clip(0.0, 1.0)


def _bits(shares: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """(N,) uint32 of numbers in [0, 1], the first in the highest bits."""
    out = np.zeros(len(shares), dtype=np.uint32)
    for share, width in zip(shares.T, widths, strict=True):
        top = 2**width - 1
        out = out << np.uint32(width) | np.floor(share * top + 0.5).clip(0, top).astype(np.uint32)
    return out


def _shares(packed: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """(N, k) float64 numbers in [0, 1]: the inverse of `_bits`."""
    out, shift = [], sum(widths)
    for width in widths:
        shift -= width
        out.append((packed >> np.uint32(shift) & np.uint32(2**width - 1)) / (2.0**width - 1))
    return np.stack(out, axis=1)


def _column(table: Table, name: str, code: str, path: Path) -> np.ndarray:
    values = table.columns.get(name)
    if values is None or values.dtype != np.dtype(code):
        raise AssetError(
            f"{path}: looks like a compressed splat PLY but its '{name}' is missing or no {code}."
        )
    return values


def _between(shares: np.ndarray, chunk: Table, names: list[str], owner: np.ndarray, path: Path) -> np.ndarray:
    columns = [_column(chunk, name, "f4", path).astype(np.float64)[owner] for name in names]
    low, high = np.stack(columns[:3], axis=1), np.stack(columns[3:], axis=1)
    return low + (high - low) * shares


def _harmonics(table: Table, count: int, path: Path) -> np.ndarray:
    """(N, K, 3) higher coefficients: 0 and 255 are the ends, others the middle of their bucket."""
    width = len(table.columns)
    if table.count != count or width not in (9, 24, 45):
        raise AssetError(
            f"{path}: has {table.count} rows of {width} harmonics for {count} splats; degree 1, 2, 3 have 9, 24, 45."
        )
    stored = np.stack([_column(table, f"f_rest_{i}", "u1", path) for i in range(width)], axis=1)
    share = np.where(stored == 255, 1.0, np.where(stored == 0, 0.0, (stored + 0.5) / 256))
    return ((share - 0.5) * 8).reshape(count, 3, width // 3).transpose(0, 2, 1)
