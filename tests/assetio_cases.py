"""Random and hand-made assets shared by the tests of assetio and bake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sds3d.core.assets import Material, Mesh, PointCloud, Splats

finite = st.floats(-1e6, 1e6, width=32)
unit = st.floats(0.0, 1.0, width=32)


def rows(count: int, width: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[torch.Tensor]:
    """(count, width) float32 tensors."""
    return hnp.arrays(np.float32, (count, width), elements=values).map(torch.from_numpy)


@st.composite
def meshes(draw: st.DrawFn, textured: bool = False) -> Mesh:
    """Meshes with any subset of colours and normals; with uv and a small texture where `textured`."""
    count = draw(st.integers(3, 12))
    faces = draw(hnp.arrays(np.int64, (draw(st.integers(1, 9)), 3), elements=st.integers(0, count - 1)))
    uv = texture = None
    if textured:
        uv = draw(rows(count, 2, unit))
        size = (3, draw(st.integers(1, 4)), draw(st.integers(1, 4)))
        texture = torch.from_numpy(draw(hnp.arrays(np.uint8, size))).float() / 255
    directions = draw(st.none() | rows(count, 3, st.floats(0.125, 1.0, width=32)))
    return Mesh(
        vertices=draw(rows(count, 3, finite)),
        faces=torch.from_numpy(faces),
        colors=None if textured else draw(st.none() | rows(count, 3, unit)),
        normals=None if directions is None else torch.nn.functional.normalize(directions, dim=1),
        uv=uv,
        texture=texture,
        name=draw(st.sampled_from(["mesh", "a red cube", "Würfel", '"quoted"'])),
    )


@st.composite
def materials(draw: st.DrawFn, uv: bool) -> Material:
    """Metallic-roughness materials; with 8-bit textures of any small size where there is `uv`."""
    side = st.integers(1, 3)

    def picture(channels: int) -> torch.Tensor:
        return torch.from_numpy(draw(hnp.arrays(np.uint8, (channels, draw(side), draw(side))))).float() / 255

    return Material(
        metallic=draw(unit),
        roughness=draw(unit),
        metallic_roughness=picture(2) if uv and draw(st.booleans()) else None,
        normal=picture(3) if uv and draw(st.booleans()) else None,
    )


@st.composite
def finished_meshes(draw: st.DrawFn) -> Mesh:
    """Meshes as an exporter meets them: coloured or textured, with and without a material."""
    mesh = draw(meshes(textured=draw(st.booleans())))
    return replace(mesh, material=draw(st.none() | materials(mesh.uv is not None)))


provenances = st.dictionaries(
    st.sampled_from(["prompt", "method", "model", "licence", "seed", "sha256"]),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
    | st.just('two\nlines, "quoted" \\ é'),
    max_size=4,
)


@st.composite
def splats(draw: st.DrawFn) -> Splats:
    """Splats of every degree, opacities 0 and 1 among them."""
    count = draw(st.integers(1, 6))
    k = draw(st.sampled_from([1, 4, 9, 16]))
    rotations = draw(rows(count, 4, st.floats(-1.0, 1.0, width=32)))
    rotations[:, 0] += torch.where(rotations.norm(dim=1) < 0.1, 1.0, 0.0)
    return Splats(
        means=draw(rows(count, 3, finite)),
        scales=draw(rows(count, 3, st.floats(2.0**-20, 2.0**10, width=32))),
        rotations=torch.nn.functional.normalize(rotations, dim=1),
        opacities=draw(rows(count, 1, unit))[:, 0],
        sh=draw(rows(count, 3 * k, st.floats(-10, 10, width=32))).reshape(count, k, 3),
    )


@st.composite
def point_clouds(draw: st.DrawFn) -> PointCloud:
    """Points with and without colours."""
    count = draw(st.integers(1, 9))
    return PointCloud(draw(rows(count, 3, finite)), draw(st.none() | rows(count, 3, unit)))


def tetrahedron() -> Mesh:
    """Four vertices, four outward faces, a colour a vertex: red, green, blue, grey."""
    vertices = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colors = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.5]])
    return Mesh(vertices, faces, colors=colors, name="tetrahedron")


def two_splats() -> Splats:
    """Two splats of degree 1."""
    return Splats(
        means=torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]),
        scales=torch.tensor([[0.1, 0.2, 0.3], [0.01, 1.0, 2.0]]),
        rotations=torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, -0.5, 0.5]]),
        opacities=torch.tensor([0.25, 1.0]),
        sh=torch.arange(24.0).reshape(2, 4, 3) / 10,
    )
