"""The nvdiffrast branch of the triangle functions on the strict stand-in: calls, conventions, values, gradients."""

from __future__ import annotations

import pytest
import torch
from fakes import nvdiffrast_torch
from fakes.elsewhere import META
from fakes.packages import install
from sds3d.representations.raster import dispatch, triangles_nvdiffrast
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.triangles import interpolate, rasterize
from sds3d.representations.raster.triangles_antialias import antialias
from sds3d.representations.raster.triangles_texture import mip_level, pyramid, texture
from triangle_cases import agree, soup, views

from sds3d.core.cameras import orbit

CPU, SIZE = torch.device("cpu"), (21, 26)
NAMED = {"implementation": "nvdiffrast"}


@pytest.fixture
def on(monkeypatch):
    """on(device): the stand-in is installed and serves that device."""

    def serve(device: torch.device) -> None:
        triangles_nvdiffrast._context.cache_clear()
        install(monkeypatch, nvdiffrast_torch.make(device))
        monkeypatch.setattr(triangles_nvdiffrast, "nvdiffrast_status", lambda _: "")

    yield serve
    triangles_nvdiffrast._context.cache_clear()


@pytest.mark.parametrize("seed", range(4))
def test_it_sees_what_the_definition_sees(on, seed) -> None:
    on(CPU)
    vertices, faces = soup(seed, 14, 0.5)
    results = []
    for choice in ("twin", "nvdiffrast"):
        cameras = views(seed)
        leaves = [t.clone().requires_grad_() for t in (vertices, cameras.fov_y_deg, vertices)]
        seen = rasterize(leaves[0], faces, cameras, SIZE, implementation=choice)
        value = interpolate(leaves[2], seen, faces, implementation=choice)
        loss = (seen.depth**2).sum() + (value**2).sum()
        results.append((seen, value, torch.autograd.grad(loss, leaves, allow_unused=True)))
    (twin, wanted, exact), (seen, value, grads) = results
    same = twin.face == seen.face
    assert same.float().mean() > 0.995  # centres on edges, to the rounding of float32
    agree(seen.barycentric[same].detach(), twin.barycentric[same].detach(), 1e-3)
    agree(seen.depth[same].detach(), twin.depth[same].detach(), 1e-4)
    agree(value[same].detach(), wanted[same].detach(), 1e-3)
    if bool(same.all()):
        agree(grads[0], exact[0], 5e-3)
        agree(grads[2], exact[2], 1e-3)


def test_rows_run_from_the_top_and_columns_from_the_left(on) -> None:
    on(CPU)
    vertices = torch.tensor(
        [[-0.9, 0.1, 0.0], [-0.1, 0.1, 0.0], [-0.5, 0.9, 0.0]]
    )  # upper left, seen from +Z
    seen = rasterize(vertices, torch.tensor([[0, 1, 2]]), orbit([0.0], 0.0), (16, 16), **NAMED)
    hit = (seen.face[0] >= 0).nonzero()
    assert len(hit)
    assert int(hit[:, 0].max()) < 8
    assert int(hit[:, 1].max()) < 8


@pytest.mark.parametrize("boundary", ["wrap", "clamp"])
def test_textures_and_their_levels(on, boundary) -> None:
    on(CPU)
    generator = torch.Generator().manual_seed(0)
    image, uv = torch.rand(12, 8, 3, generator=generator), torch.rand(2, 5, 4, 2, generator=generator)
    level = 5 * torch.rand(2, 5, 4, generator=generator) - 0.5
    results = []
    for choice in ("twin", "nvdiffrast"):
        leaves = [t.clone().requires_grad_() for t in (image, uv, level)]
        which = {"boundary": boundary, "implementation": choice}
        out = texture(pyramid(leaves[0]), leaves[1], leaves[2], **which)
        plain = texture(leaves[0], leaves[1], **which)
        grads = torch.autograd.grad((out**2).sum() + (plain**3).sum(), leaves)
        results.append([out.detach(), plain.detach(), *grads])
    for wanted, value in zip(*results, strict=True):
        agree(value, wanted, 1e-4)


def test_every_call_is_one_that_the_package_takes(on) -> None:
    """Device, types, memory layout and shapes are checked by the stand-in, on a device apart from the CPU."""
    on(META)
    leaf = {"device": META, "requires_grad": True}
    positions, focal = torch.zeros(2, 9, 3, **leaf), torch.zeros(2, **leaf)
    faces = torch.zeros(5, 3, dtype=torch.int64, device=META)
    face, barycentric, depth = triangles_nvdiffrast.rasterize(positions, faces, focal, (6, 4), 0.01)
    assert (face.dtype, tuple(barycentric.shape), tuple(depth.shape)) == (
        torch.int32,
        (2, 6, 4, 3),
        (2, 6, 4),
    )
    for shape in ((9, 2), (5, 3, 2)):
        attributes = torch.zeros(shape[::-1], **leaf).permute(*range(len(shape))[::-1])  # not contiguous
        value = triangles_nvdiffrast.interpolate(attributes, faces, face, barycentric)
        assert value.shape == (2, 6, 4, 2)
    levels = [torch.zeros(3, s, s, **leaf).permute(1, 2, 0) for s in (8, 4)]
    colour = triangles_nvdiffrast.texture(levels, value, torch.zeros(2, 6, 4, device=META), True)
    smooth = triangles_nvdiffrast.antialias(colour, positions, faces, faces, focal, face, depth)
    grads = torch.autograd.grad(smooth.sum() + depth.sum(), [positions, focal, *levels])
    assert all(g.device == META for g in grads)


def test_antialiasing_is_handed_what_it_needs(on, monkeypatch) -> None:
    on(CPU)
    vertices, faces = soup(1, 10)
    cameras = views(1)
    seen = rasterize(vertices, faces, cameras, SIZE, **NAMED)
    calls = []

    def note(color, rast, pos, tri):
        calls.append((rast, pos, tri))
        return color

    monkeypatch.setattr(triangles_nvdiffrast._module(), "antialias", note)
    image = torch.rand(2, *SIZE, 3)
    antialias(image, seen, vertices, faces, cameras, **NAMED)
    rast, pos, tri = calls[0]
    assert torch.equal(rast[..., 3].int() - 1, seen.face)
    nearer = seen.depth[0].flatten()[:, None] < seen.depth[0].flatten()[None]
    both = (seen.face[0].flatten() >= 0)[:, None] & (seen.face[0].flatten() >= 0)[None]
    z = rast[0, ..., 2].flatten()
    assert ((z[:, None] <= z[None]) | ~nearer | ~both).all()
    again, _ = triangles_nvdiffrast._module().rasterize(
        triangles_nvdiffrast._context(CPU), pos, tri, list(SIZE), grad_db=False
    )
    assert torch.equal(again[..., 3], rast[..., 3])


def test_no_faces(on) -> None:
    on(CPU)
    vertices, faces = soup(1, 4)
    seen = rasterize(vertices, faces[:0], views(1), SIZE, **NAMED)
    assert (seen.face == -1).all()
    assert not interpolate(vertices, seen, faces[:0], **NAMED).any()
    image = torch.rand(2, *SIZE, 3)
    assert torch.equal(antialias(image, seen, vertices, faces[:0], views(1), **NAMED), image)
    uv = torch.rand(len(vertices), 2)
    assert not mip_level(uv, seen, vertices, faces[:0], views(1), (8, 8), **NAMED).any()


def test_it_is_taken_by_name_only_and_says_why_not(monkeypatch) -> None:
    vertices, faces = soup(1, 4)
    with pytest.raises(
        RasterError, match="'nvdiffrast' is not possible: nvdiffrast runs on CUDA devices only"
    ):
        rasterize(vertices, faces, views(1), SIZE, **NAMED)
    monkeypatch.setattr(triangles_nvdiffrast.importlib.util, "find_spec", lambda name: None)
    reason = triangles_nvdiffrast.nvdiffrast_status(torch.device("cuda"))
    assert "non-commercial" in reason
    assert "pip install --no-build-isolation git+https://github.com/NVlabs/nvdiffrast" in reason
    monkeypatch.setattr(triangles_nvdiffrast.importlib.util, "find_spec", lambda name: object())
    assert triangles_nvdiffrast.nvdiffrast_status(torch.device("cuda")) == ""
    assert all("nvdiffrast" not in names for names in dispatch.IMPLEMENTATIONS.values())
