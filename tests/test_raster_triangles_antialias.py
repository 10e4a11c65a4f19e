"""Silhouette antialiasing: exact coverage of straight edges, areas and their derivatives, agreement."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sds3d.representations.raster import triangles_antialias_twin
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.triangles import rasterize
from sds3d.representations.raster.triangles_antialias import antialias, topology
from torch.autograd import gradcheck
from triangle_cases import agree, ahead, best_kernels, soup, use, views

from sds3d.core.errors import NonFiniteError

SAME_CHOICE = [HealthCheck.function_scoped_fixture]  # the choice of implementation holds for all inputs
seeds = st.integers(0, 2**31)


@pytest.fixture
def implementation(request, monkeypatch) -> str:
    """The value of the argument `implementation` for a parametrized name."""
    return use(monkeypatch, request.param)


everywhere = pytest.mark.parametrize("implementation", ["twin", *best_kernels()], indirect=True)
in_kernels = pytest.mark.parametrize("implementation", best_kernels(), indirect=True)


def mask(vertices, faces, cameras, size, implementation):
    """(B, H, W) antialiased coverage."""
    seen = rasterize(vertices, faces, cameras, size, implementation=implementation)
    image = (seen.face >= 0).to(vertices.dtype)[..., None]
    return antialias(image, seen, vertices, faces, cameras, implementation=implementation)[..., 0]


def fan(count: int, radius: float, phase: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """A disc of `count` triangles, facing the camera at distance 1."""
    angle = torch.arange(count) * (2 * math.pi / count) + phase
    rim = torch.stack([radius * angle.cos(), radius * angle.sin(), -torch.ones(count)], dim=1)
    index = torch.arange(count)
    faces = torch.stack([torch.full_like(index, count), index, (index + 1) % count], dim=1)
    return torch.cat([rim, torch.tensor([[0.0, 0.0, -1.0]])]), faces


@everywhere
@pytest.mark.parametrize("upright", [True, False])
@settings(max_examples=10, suppress_health_check=SAME_CHOICE)
@given(slope=st.floats(-0.9, 0.9), offset=st.floats(-3.0, 3.0))
def test_rows_across_a_straight_edge_add_up_to_its_position(implementation, upright, slope, offset) -> None:
    # in pixels of a 16 x 16 image: everything left of x = offset + slope * y
    corners = [(-50, -50), (offset - 50 * slope, -50), (offset + 50 * slope, 50), (-50, 50)]
    scale = 1 / float(ahead().focal(16))
    places = [[x * scale, -y * scale, -1.0] if upright else [y * scale, -x * scale, -1.0] for x, y in corners]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    cover = mask(torch.tensor(places), faces, ahead(), (16, 16), implementation)[0]
    rows = cover.sum(1) if upright else cover.sum(0)
    y = torch.arange(16) + 0.5 - 8
    edge = offset + slope * y + 8
    inside = (edge > 1) & (edge < 15)
    torch.testing.assert_close(rows[inside], edge[inside], rtol=0, atol=1e-4)
    if abs(slope) > 0.3:  # else every row may end exactly between two pixels
        assert ((cover > 1e-4) & (cover < 1 - 1e-4)).sum() >= 3


@everywhere
@pytest.mark.parametrize("count", [12, 90])  # edges of seven pixels, and of less than one
def test_the_area_of_a_disc_and_its_derivatives(implementation, count) -> None:
    vertices, faces = fan(count, 0.6)
    cameras, focal = ahead(), float(ahead().focal(48))
    x, y = vertices[:count, 0].double(), vertices[:count, 1].double()
    area = 0.5 * float((x * y.roll(-1) - x.roll(-1) * y).sum()) * focal**2
    derivatives = []
    for offset in torch.rand(12, 2, generator=torch.Generator().manual_seed(count)) / focal:
        scale, shift = torch.ones((), requires_grad=True), offset.clone().requires_grad_()
        moved = torch.cat([vertices[:, :2] * scale + shift, vertices[:, 2:]], dim=1)
        cover = mask(moved, faces, cameras, (48, 48), implementation)
        assert float(cover.detach().sum()) == pytest.approx(area, rel=2e-3)
        across = (cover.sum((0, 1)) * (torch.arange(48) + 0.5)).sum()  # area times mean column
        to_scale, to_shift = torch.autograd.grad(cover.sum(), (scale, shift), retain_graph=True)
        derivatives.append([to_scale, *to_shift, *torch.autograd.grad(across, shift)[0]])
    to_scale, to_right, to_up, column_to_right, column_to_up = torch.tensor(derivatives).mean(0)
    assert float(to_scale) == pytest.approx(2 * area, rel=0.02)
    assert float(column_to_right) == pytest.approx(area * focal, rel=0.02)
    assert max(abs(to_right), abs(to_up)) < 0.03 * area
    assert abs(column_to_up) < 0.02 * area * focal


@everywhere
def test_edges_inside_a_surface_and_of_equal_colours_change_nothing(implementation) -> None:
    vertices, faces = fan(12, 3.0)  # fills the screen
    seen = rasterize(vertices, faces, ahead(), (32, 32), implementation=implementation)
    assert (seen.face >= 0).all()
    colours = seen.face[..., None].float()
    assert torch.equal(
        antialias(colours, seen, vertices, faces, ahead(), implementation=implementation), colours
    )
    vertices, faces = soup(2, 12)
    cameras = views(2)
    seen = rasterize(vertices, faces, cameras, (32, 32), implementation=implementation)
    flat = torch.full((2, 32, 32, 3), 0.3)
    assert torch.equal(antialias(flat, seen, vertices, faces, cameras, implementation=implementation), flat)


@everywhere
def test_a_fold_towards_the_camera_is_a_silhouette_and_a_ridge_is_not(implementation) -> None:
    # two triangles meet at the line x = 0.03; the second one lies either beyond it or folded back under the first
    for beyond, blended in ((0.9, False), (-0.9, True)):
        vertices = torch.tensor(
            [[0.03, -3.0, -1.0], [0.03, 3.0, -1.0], [-0.9, 0.0, -1.0], [beyond, 0.0, -1.5]]
        )
        faces = torch.tensor([[0, 1, 2], [1, 0, 3]])
        seen = rasterize(vertices, faces, ahead(), (16, 16), implementation=implementation)
        image = torch.where(seen.face >= 0, 1.0 + seen.face, 0.0)[..., None]
        out = antialias(image, seen, vertices, faces, ahead(), implementation=implementation)
        middle = (out - image)[0, 6:10, 6:10].abs().max()
        assert bool(middle > 0.1) == blended


@in_kernels
@settings(max_examples=20, suppress_health_check=SAME_CHOICE)
@given(seed=seeds, count=st.integers(0, 30), spread=st.sampled_from([0.3, 0.8, 2.5]))
def test_antialiasing_is_the_twin_with_its_gradients(implementation, seed, count, spread) -> None:
    vertices, faces = soup(seed, count, spread)
    size = (17, 22)
    generator = torch.Generator().manual_seed(seed)
    image, upstream = torch.randn(2, 2, *size, 3, generator=generator)
    results = []
    for choice in ("twin", implementation):
        cameras = views(seed)
        leaves = [image.clone(), vertices.clone(), cameras.c2w, cameras.fov_y_deg]
        for leaf in leaves:
            leaf.requires_grad_()
        seen = rasterize(vertices, faces, views(seed), size, near=0.2, implementation=choice)
        out = antialias(leaves[0], seen, leaves[1], faces, cameras, implementation=choice)
        results.append([out.detach(), *torch.autograd.grad(out, leaves, upstream)])
    for twin, native in zip(*results, strict=True):
        agree(native, twin, 1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_twin_has_the_derivatives_of_finite_differences(seed) -> None:
    vertices, faces = soup(seed, 8, 0.6, torch.float64)
    cameras, size = views(seed), (15, 12)
    seen = rasterize(vertices, faces, cameras, size, near=0.3, implementation="twin")
    image = torch.randn(2, *size, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def smooth(image, vertices):
        return antialias(image, seen, vertices, faces, cameras, implementation="twin")

    out = smooth(image, vertices)
    assert (out != image).float().mean() > 0.05
    assert gradcheck(
        smooth, (image.requires_grad_(), vertices.requires_grad_()), rtol=1e-4, atol=1e-6, fast_mode=True
    )


@in_kernels
def test_an_edge_exactly_between_two_pixels_has_a_gradient(implementation) -> None:
    # edges between columns 7 | 8, at depth = focal, so that positions are pixels
    focal = float(ahead().focal(16))
    vertices = torch.tensor([[0.0, 90.0, -focal], [0.0, -90.0, -focal], [-90.0, 0.0, -focal]])
    faces = torch.tensor([[0, 1, 2]])
    gradients = []
    for choice in ("twin", implementation):
        leaf = vertices.clone().requires_grad_()
        cover = mask(leaf, faces, ahead(), (16, 16), choice)
        assert cover[0].sum(1)[8].item() == pytest.approx(8.0, abs=1e-6)
        (cover * torch.linspace(1, 2, 16)).sum().backward()
        gradients.append(leaf.grad)
    assert gradients[0][:2, 0].sum() > 10
    agree(gradients[1], gradients[0], 1e-5)


@settings(max_examples=20)
@given(seed=seeds, count=st.integers(0, 40))
def test_topology_of_random_faces(seed, count) -> None:
    generator = torch.Generator().manual_seed(seed)
    faces = torch.randint(
        0, 8 + count // 4, (count, 3), generator=generator
    )  # shared, doubled and flat faces
    sets = [frozenset(face) if len(set(face)) == 3 else frozenset() for face in faces.tolist()]
    wanted = torch.full((count, 3), -1)
    for f, face in enumerate(faces.tolist()):
        for i in range(3 if sets[f] else 0):
            edge = {face[i - 1], face[i - 2]}
            others = [o for o in range(count) if o != f and edge <= sets[o]]
            if len(others) == 1:
                (third,) = sets[others[0]] - edge
                wanted[f, i] = 3 * others[0] + faces[others[0]].tolist().index(third)
    for choice in ("twin", "auto"):
        assert torch.equal(topology(faces, 100, implementation=choice), wanted)
        assert torch.equal(topology(faces.int(), 100, implementation=choice), wanted)


@everywhere
def test_bad_input_is_refused_by_name(implementation) -> None:
    which = {"implementation": implementation}
    vertices, faces = soup(1, 4)
    cameras, size = views(1), (8, 8)
    seen, image = rasterize(vertices, faces, cameras, size, **which), torch.zeros(2, 8, 8, 3)
    broken = image.clone()
    broken[1, 2, 3, 0] = math.inf
    with pytest.raises(NonFiniteError, match=r"image\[1, 2, 3, 0\] is inf"):
        antialias(broken, seen, vertices, faces, cameras, **which)
    moved = vertices.clone()
    moved[0, 2] = math.nan
    with pytest.raises(NonFiniteError, match=r"vertices\[0, 2\] is nan"):
        antialias(image, seen, moved, faces, cameras, **which)
    with pytest.raises(RasterError, match="1 cameras, but fragments of 2 views"):
        antialias(image, seen, vertices, faces, cameras[[0]], **which)
    with pytest.raises(RasterError, match=r"see face 7, but there are 4 faces"):
        antialias(image, replace(seen, face=torch.full_like(seen.face, 7)), vertices, faces, cameras, **which)
    with pytest.raises(RasterError, match=r"faces\[1\] is .* there are 9 vertices"):
        topology(torch.tensor([[0, 1, 2], [3, 9, 4]]), 9, **which)
    with pytest.raises(RasterError, match="partners belong to other faces"):
        antialias(image, seen, vertices, faces, cameras, partners=faces + 20, **which)
    with pytest.raises(RasterError, match=r"partners is \(2, 3\)"):
        inspect.unwrap(antialias)(image, seen, vertices, faces, cameras, partners=faces[:2], **which)
    assert triangles_antialias_twin.topology(faces[:0], 3).shape == (0, 3)
