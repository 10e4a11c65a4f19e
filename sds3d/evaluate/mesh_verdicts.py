"""What a mesh's facts mean for its use: a verdict a line, as `sds3d mesh-qa` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.assets import Mesh
from .mesh_quality import MeshQuality, mesh_quality
from .uv_quality import UvQuality, uv_quality

DEGENERATE_SHARE, OVERLAP_SHARE, SPREAD = 1e-3, 0.01, 8.0
"""Above these a fact is worth saying: faces without area, shared texels, ratio of texel densities."""


@dataclass(frozen=True)
class Verdict:
    """One fact and what it means: "ok", "note" (fine for some uses) or "bad" (other programs will stumble)."""

    name: str
    value: str
    verdict: str
    meaning: str = ""


def verdicts(mesh: Mesh) -> tuple[list[Verdict], MeshQuality, UvQuality | None]:
    """The lines, and the numbers behind them."""
    shape, texture = mesh_quality(mesh), uv_quality(mesh)
    return [*_shape(shape), *_texture(mesh, texture)], shape, texture


def _shape(q: MeshQuality) -> list[Verdict]:
    size = " x ".join(f"{s:.4g}" for s in q.extent)
    degenerate = q.degenerate_faces / max(q.faces, 1)
    return [
        Verdict("faces", f"{q.faces}, {q.vertices} vertices", "ok" if q.faces else "bad"),
        _judge("bounds", size, "bad" if max(q.extent) <= 0 else "ok", "it has no extent"),
        _judge(
            "watertight",
            "yes" if q.watertight else "no",
            "ok" if q.watertight else "bad",
            "printing and volumes need a closed surface whose faces agree on the outside",
        ),
        _judge(
            "open edges",
            str(q.open_edges),
            "bad" if q.open_edges else "ok",
            "the surface has holes or borders",
        ),
        _judge(
            "non-manifold edges",
            str(q.crowded_edges),
            "bad" if q.crowded_edges else "ok",
            "edges of more than two faces: boolean operations and smoothing fail there",
        ),
        _judge(
            "degenerate faces",
            str(q.degenerate_faces),
            "bad" if degenerate > DEGENERATE_SHARE else "note" if q.degenerate_faces else "ok",
            "faces without area have no normal",
        ),
        _judge(
            "components",
            str(q.components),
            "note" if q.components > 1 else "ok",
            f"the largest has {q.largest_component:.0%} of the faces",
        ),
        _judge(
            "volume",
            f"{q.volume:.4g}" if q.watertight else "none",
            "bad" if q.watertight and q.volume < 0 else "ok",
            "the faces look inwards",
        ),
    ]


def _texture(mesh: Mesh, q: UvQuality | None) -> list[Verdict]:
    if q is None:
        shown = "vertex colours" if mesh.colors is not None else "none"
        return [Verdict("texture coordinates", shown, "ok")]
    lines = [
        _judge(
            "texture overlap",
            f"{q.overlap:.1%}",
            "note" if q.overlap > OVERLAP_SHARE else "ok",
            "parts share texels: baking and painting would mix them",
        ),
        _judge(
            "texture outside",
            f"{q.outside:.1%}",
            "note" if q.outside else "ok",
            "faces reach beyond the texture and repeat it",
        ),
        Verdict("texture used", f"{q.used:.1%}", "ok"),
    ]
    if mesh.texture is not None:
        size = f"{mesh.texture.shape[2]} x {mesh.texture.shape[1]}"
        lines.append(
            _judge(
                "texel density",
                f"{q.texels_per_unit:.4g} a unit of {size}, spread {q.spread:.2g}",
                "note" if q.spread > SPREAD else "ok",
                "some parts are much blurrier than others",
            )
        )
    return lines


def _judge(name: str, value: str, verdict: str, meaning: str) -> Verdict:
    """A verdict that gives its reason only where it is not "ok"."""
    return Verdict(name, value, verdict, "" if verdict == "ok" else meaning)
