"""A baked texture shows the field's colours, across seams too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sds3d.representations.bake import decimate
from sds3d.representations.bake_texture import bake_texture, fit
from sds3d.representations.base import Colored
from sds3d.representations.gaussians import Options as GaussianOptions
from sds3d.representations.gaussians import create as create_gaussians
from sds3d.representations.grid import Options as GridOptions
from sds3d.representations.grid import create as create_grid
from sds3d.representations.mesh.atlas import texels
from sds3d.representations.raster.triangles import interpolate, rasterize
from torch import Tensor

from sds3d.assetio.sample import sample_texture
from sds3d.assetio.topology import is_watertight, merge_equal
from sds3d.core.assets import Mesh, sample_surface
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError
from sds3d.core.streams import Streams

pytest.importorskip("xatlas")


def ball(rings: int = 12) -> Mesh:
    """A sphere of radius 0.7 with 2 * rings segments."""
    a = torch.arange(2 * rings) / rings * torch.pi
    e = (torch.arange(1, rings) / rings - 0.5) * torch.pi
    body = torch.stack(
        [torch.outer(e.cos(), a.sin()), e.sin()[:, None].expand(-1, len(a)), torch.outer(e.cos(), a.cos())],
        dim=-1,
    )
    vertices = 0.7 * torch.cat([torch.tensor([[0.0, -1, 0], [0, 1, 0]]), body.reshape(-1, 3)])
    n, faces = len(a), []
    for i in range(n):
        j = (i + 1) % n
        faces += [(0, 2 + j, 2 + i), (1, 2 + (rings - 2) * n + i, 2 + (rings - 2) * n + j)]
        for k in range(rings - 2):
            p, q = 2 + k * n, 2 + (k + 1) * n
            faces += [(p + i, p + j, q + j), (p + i, q + j, q + i)]
    return Mesh(vertices, torch.tensor(faces), name="ball")


def paint(points: Tensor) -> Tensor:
    """A smooth colour field that differs everywhere."""
    return 0.5 + 0.45 * torch.sin(torch.stack([4 * points[:, 0], 5 * points[:, 1], 3 * points.sum(1)], dim=1))


def shown(mesh: Mesh, face: Tensor, weights: Tensor) -> Tensor:
    """(N, 3) colours of the texture at places on faces."""
    assert mesh.uv is not None
    assert mesh.texture is not None
    uv = (mesh.uv[mesh.faces[face]] * weights[..., None]).sum(1)
    return torch.from_numpy(sample_texture(mesh.texture.permute(1, 2, 0).numpy(), uv.numpy()))


def test_the_texture_is_the_field_at_every_point_of_the_surface() -> None:
    mesh = bake_texture(ball(), paint, 256)
    generator = torch.Generator().manual_seed(1)
    face = torch.randint(len(mesh.faces), (4000,), generator=generator)
    weights = torch.distributions.Dirichlet(torch.full((3,), 0.3)).sample(
        (4000,)
    )  # crowded at edges and corners
    points = (mesh.vertices[mesh.faces[face]] * weights[..., None]).sum(1)
    error = (shown(mesh, face, weights) - paint(points)).abs()
    assert error.max() < 0.02, "at the seams as well: a texel is 0.02 units"
    assert error.mean() < 0.002


def test_a_picture_of_the_texture_is_a_picture_of_the_field() -> None:
    mesh = bake_texture(ball(), paint, 256)
    assert mesh.uv is not None
    cameras = orbit([0.0, 120.0, 240.0], [20.0, -30.0, 60.0])
    seen = rasterize(mesh.vertices, mesh.faces, cameras, (48, 48))
    hit = seen.face >= 0
    points = interpolate(mesh.vertices, seen, mesh.faces)[hit]
    colors = shown(mesh, seen.face[hit].long(), seen.barycentric[hit])
    assert int(hit.sum()) > 1000
    assert (colors - paint(points)).abs().max() < 0.02


def test_every_texel_has_a_colour_and_charts_have_room() -> None:
    mesh = bake_texture(ball(), lambda points: torch.full_like(points, 0.6), 128, padding=4)
    assert mesh.texture is not None
    assert torch.allclose(mesh.texture, torch.full_like(mesh.texture, 0.6)), (
        "holes are filled, nothing stays black"
    )
    assert mesh.uv is not None
    assert 0 <= mesh.uv.min() <= mesh.uv.max() <= 1
    face = texels(mesh.uv[mesh.faces], 128).face[0]
    assert (face >= 0).float().mean() > 0.3, (
        "margins of four texels at this size leave a third for the charts"
    )


def test_the_shape_stays() -> None:
    before = ball()
    after = bake_texture(before, paint, 128)
    same = after.vertices[after.faces] == before.vertices[before.faces]
    assert bool(same.all())
    assert is_watertight(merge_equal(after.vertices.numpy(), after.faces.numpy()))
    assert after.normals is not None
    outward = torch.nn.functional.normalize(after.vertices, dim=1)
    assert ((after.normals * outward).sum(1) > 0.98).all(), "normals are smooth across the seams"


def test_vertex_colours_become_a_texture_where_no_function_gives_them() -> None:
    plain = replace(ball(24), colors=paint(ball(24).vertices))
    mesh = bake_texture(plain, None, 256)
    points, face = sample_surface(mesh, 1000, torch.rand(1000, 3, generator=torch.Generator().manual_seed(2)))
    corners = mesh.vertices[mesh.faces[face]].double()
    weights = torch.linalg.lstsq(corners.transpose(1, 2), points.double()[..., None]).solution[..., 0].float()
    assert (shown(mesh, face, weights) - paint(points)).abs().max() < 0.05
    with pytest.raises(ValueError, match="no colours"):
        bake_texture(ball(), None, 64)


def test_a_textured_mesh_is_left_alone() -> None:
    mesh = bake_texture(ball(), paint, 64)
    assert bake_texture(mesh, paint, 128) is mesh
    with pytest.raises(AssetError, match="has a texture"):
        decimate(mesh, 10)


@pytest.mark.parametrize("with_field", [True, False])
def test_decimation_keeps_the_budget_the_colours_and_the_closed_surface(with_field: bool) -> None:
    fine = replace(ball(32), colors=paint(ball(32).vertices))
    mesh = fit(fine, paint if with_field else None, 600, 0)
    assert len(mesh.faces) <= 620
    assert is_watertight(mesh.faces.numpy())
    assert mesh.colors is not None
    assert (mesh.colors - paint(mesh.vertices)).abs().max() < (1e-6 if with_field else 0.2)
    assert fit(fine, None, 10**6, 0) is fine
    baked = fit(fine, paint, 600, 128)
    assert baked.texture is not None
    assert len(baked.faces) == len(mesh.faces)


@pytest.mark.parametrize("kind", ["grid", "gaussians"])
def test_representations_tell_the_colours_of_their_surface(kind: str) -> None:
    streams = Streams(3)
    if kind == "grid":
        model = create_grid(GridOptions(resolutions=(16,), initial_noise=0.3), streams)
    else:
        model = create_gaussians(GaussianOptions(init={"count": 200}, mesh_resolution=24), streams)
    assert isinstance(model, Colored)
    mesh = model.to_asset("mesh")
    assert isinstance(mesh, Mesh)
    color_at = model.surface_colors()
    baked = fit(mesh, color_at, 1500, 256)
    face = torch.arange(len(baked.faces))
    weights = torch.full((len(face), 3), 1 / 3)
    points = baked.vertices[baked.faces].mean(1)
    error = (shown(baked, face, weights) - color_at(points).clamp(0, 1)).abs()
    assert np.quantile(error.numpy(), 0.99) < 0.05
    assert error.mean() < 0.01
