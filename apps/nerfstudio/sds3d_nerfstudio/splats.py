"""Splatfacto's parameters as the PLY that sds3d edits, and back.

Both keep Gaussians before activation: means, logarithms of scales, quaternions w x y z, logits of opacities,
coefficients of harmonics; only their places in the file differ.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

PREFIX = "_model.gauss_params."
NAMES = ("means", "scales", "quats", "features_dc", "features_rest", "opacities")
MAX_COUNT = 100_000_000
"""Gaussians that a file may claim."""


class ExchangeError(Exception):
    """What is wrong with a file that is exchanged, and what to do."""


def columns(rest: int) -> list[str]:
    """The columns of the PLY for so many harmonics above degree 0."""
    out = ["x", "y", "z", "nx", "ny", "nz"] + [f"f_dc_{i}" for i in range(3)]
    out += [f"f_rest_{i}" for i in range(3 * rest)] + ["opacity"]
    return out + [f"scale_{i}" for i in range(3)] + [f"rot_{i}" for i in range(4)]


def parameters_of(pipeline: dict[str, Tensor]) -> dict[str, Tensor]:
    """The Gaussians of a checkpoint's pipeline.

    Raises:
        ExchangeError: it is of another model than splatfacto.
    """
    missing = [name for name in NAMES if PREFIX + name not in pipeline]
    if missing:
        raise ExchangeError(
            f"the checkpoint has no {PREFIX}{missing[0]}: it is of another model than splatfacto. Of nerfacto and "
            "others edit the capture itself, see the README."
        )
    if pipeline[PREFIX + "features_rest"].shape[1] == 0:
        raise ExchangeError(
            "the run has sh_degree 0, whose colours splatfacto keeps in a way that no PLY tells."
        )
    return {name: pipeline[PREFIX + name].detach().float().cpu() for name in NAMES}


def to_ply(parameters: dict[str, Tensor]) -> bytes:
    """A binary PLY in the layout of the 3D Gaussian splatting release."""
    p = parameters
    count, rest = p["features_rest"].shape[:2]
    table = torch.cat(
        [
            p["means"],
            torch.zeros(count, 3),
            p["features_dc"].reshape(count, 3),
            p["features_rest"].transpose(1, 2).reshape(count, 3 * rest),
            p["opacities"].reshape(count, 1),
            p["scales"],
            p["quats"],
        ],
        dim=1,
    )
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    head += [f"property float {name}" for name in columns(rest)] + ["end_header", ""]
    return "\n".join(head).encode() + table.numpy().astype("<f4").tobytes()


def from_ply(data: bytes) -> dict[str, Tensor]:
    """Splatfacto's parameters of a PLY that `to_ply` or sds3d wrote.

    Raises:
        ExchangeError: it is cut off, or has other columns.
    """
    head, mark, _ = data[: 1 << 16].partition(b"end_header\n")
    lines = [line.split() for line in head.decode("ascii", errors="replace").splitlines()]
    lines = [line for line in lines if line and line[0] not in ("comment", "obj_info")]
    count = [int(line[2]) for line in lines if line[:2] == ["element", "vertex"] and line[2].isdigit()]
    names = [line[2] for line in lines if line[:2] == ["property", "float"] and len(line) == 3]
    rest = sum(name.startswith("f_rest_") for name in names) // 3
    plain = ["format", "binary_little_endian", "1.0"] in lines and len(count) == 1 and count[0] <= MAX_COUNT
    if not mark or not plain or names != columns(rest):
        raise ExchangeError("the PLY is not in the layout of splats that sds3d writes as 3dgs.")
    start = len(head) + len(mark)
    if len(data) - start != 4 * len(names) * count[0]:
        raise ExchangeError(f"the PLY is cut off: it has no {count[0]} rows of {len(names)} numbers.")
    table = torch.from_numpy(np.frombuffer(data, "<f4", offset=start).reshape(count[0], len(names)).copy())
    if not bool(torch.isfinite(table).all()):
        raise ExchangeError("the PLY holds numbers that are not finite.")
    n = 3 * rest
    return {
        "means": table[:, :3],
        "features_dc": table[:, 6:9],
        "features_rest": table[:, 9 : 9 + n].reshape(-1, 3, rest).transpose(1, 2).contiguous(),
        "opacities": table[:, 9 + n : 10 + n],
        "scales": table[:, 10 + n : 13 + n],
        "quats": table[:, 13 + n :],
    }


def put_into(pipeline: dict[str, Tensor], parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """The pipeline with other Gaussians, each tensor in the shape and the type that it had, but for their number.

    Raises:
        ExchangeError: the harmonics have another degree.
    """
    out = dict(pipeline)
    for name in NAMES:
        old, new = pipeline[PREFIX + name], parameters[name]
        shape = (len(new), *old.shape[1:])
        if new.numel() != int(np.prod(shape)):
            raise ExchangeError(
                f"{name} has the shape {tuple(new.shape)}, and the run {tuple(old.shape)}: another degree of harmonics."
            )
        out[PREFIX + name] = new.reshape(shape).to(old.dtype)
    return out
