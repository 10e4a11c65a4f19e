"""Triangle rasterization and interpolation against rays, closed forms and each other."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raster_cases import implementations, kernels, native_levels
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.triangles import KERNELS, interpolate, rasterize
from triangle_cases import ahead, soup, use, views

from sds3d.core.cameras import rays
from sds3d.core.errors import NonFiniteError

SAME_CHOICE = [HealthCheck.function_scoped_fixture]  # the choice of implementation holds for all inputs
seeds = st.integers(0, 2**31)


@pytest.fixture
def implementation(request, monkeypatch) -> str:
    """The value of the argument `implementation` for a parametrized name."""
    return use(monkeypatch, request.param)


everywhere = pytest.mark.parametrize("implementation", implementations(), indirect=True)
natively = pytest.mark.parametrize("implementation", native_levels(), indirect=True)
in_kernels = pytest.mark.parametrize("implementation", kernels(), indirect=True)


def facing(corners, z: float = -1.0) -> torch.Tensor:
    """World vertices for `ahead`'s camera from image-plane (x right, y up) at that world z."""
    return torch.tensor([[x, y, z] for x, y in corners])


@in_kernels
@settings(max_examples=25, deadline=None, suppress_health_check=SAME_CHOICE)
@given(seed=seeds, count=st.integers(0, 60), spread=st.sampled_from([0.2, 0.6, 3.0]))
def test_kernels_see_what_the_twin_sees_to_the_last_bit(implementation, seed, count, spread) -> None:
    vertices, faces = soup(seed, count, spread)
    cameras, size = views(seed), (13 + seed % 20, 9 + seed % 31)
    twin = rasterize(vertices, faces, cameras, size, implementation="twin")
    fast = rasterize(vertices, faces, cameras, size, implementation=implementation)
    for name in ("face", "barycentric", "depth"):
        assert torch.equal(getattr(fast, name), getattr(twin, name)), name


@natively
def test_threads_do_not_show(implementation) -> None:
    vertices, faces = soup(3, 300)
    cameras = views(3, 1)
    one = rasterize(vertices, faces, cameras, (37, 50), implementation="native")
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        three = rasterize(vertices, faces, cameras, (37, 50), implementation="native")
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.face, three.face)
    assert torch.equal(one.barycentric, three.barycentric)


@everywhere
@settings(max_examples=10, deadline=None, suppress_health_check=SAME_CHOICE)
@given(seed=seeds, spread=st.sampled_from([0.4, 3.0]))
def test_the_nearest_hit_of_the_ray_is_seen(implementation, seed, spread) -> None:
    vertices, faces = soup(seed, 12, spread)
    cameras, size, near = views(seed, 1), (24, 31), 0.3
    out = rasterize(vertices, faces, cameras, size, near=near, implementation=implementation)
    origin, direction = (v[0].reshape(-1, 3).double() for v in rays(cameras, size))
    axis = -cameras.c2w[0, :3, 2].double()
    a, b, c = vertices[faces].double().unbind(1)
    keep = (faces != faces.roll(1, dims=1)).all(1)
    index = keep.nonzero()[:, 0]
    a, b, c = a[keep], b[keep], c[keep]
    edges = torch.stack([b - a, c - a], dim=-1).expand(len(direction), -1, -1, -1)
    system = torch.cat([edges, -direction[:, None, :, None].expand(-1, len(a), -1, -1)], dim=-1)
    u, v, t = torch.linalg.solve(system, (origin[:, None] - a)[..., None])[..., 0].unbind(-1)
    depth = t * (direction @ axis)[:, None]
    margin = torch.minimum(torch.minimum(torch.minimum(u, v), 1 - u - v), 10 * (depth - near))
    nearest, which = torch.where(margin >= 0, depth, math.inf).sort(dim=1)
    clear = (margin.abs() > 1e-5).all(1) & ~((nearest[:, 1] - nearest[:, 0]) < 1e-5)
    face = torch.where(nearest[:, 0] < math.inf, index[which[:, 0]], -1)
    assert clear.float().mean() > 0.9
    assert torch.equal(out.face.reshape(-1)[clear].long(), face[clear])
    hit = clear & (face >= 0)
    torch.testing.assert_close(out.depth.reshape(-1)[hit].double(), nearest[hit, 0], rtol=1e-4, atol=1e-4)
    point = (out.barycentric.reshape(-1, 3, 1)[hit] * vertices[faces[face[hit]]]).sum(1).double()
    along = ((point - origin[hit]) * direction[hit]).sum(1, keepdim=True)
    assert (point - origin[hit] - along * direction[hit]).norm(dim=1).max() < 1e-4 * max(1, spread)


@everywhere
@settings(max_examples=8, deadline=None, suppress_health_check=SAME_CHOICE)
@given(seed=seeds)
def test_shared_edges_are_covered_exactly_once(implementation, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    n = 4
    y, x = torch.meshgrid(torch.arange(n + 1.0), torch.arange(n + 1.0), indexing="ij")
    # at depth = focal, positions are pixels: vertices on pixel centres (columns n + 1/2) and between them
    steps = torch.tensor([0.0, 0.5])[torch.randint(0, 2, (2, n + 1, n + 1), generator=generator)]
    inner = ((x > 0) & (x < n) & (y > 0) & (y < n)).float()
    place = torch.stack(
        [x - 2 + 0.5 + steps[0] * inner, y - 2 + 0.5 + steps[1] * inner, torch.full_like(x, 8.0)], -1
    )
    corner = (torch.arange(n)[:, None] * (n + 1) + torch.arange(n)).reshape(-1)
    flip = torch.rand(n * n, generator=generator) < 0.5
    a, b, c, d = corner, corner + 1, corner + n + 1, corner + n + 2
    first = torch.where(flip[:, None], torch.stack([a, b, c], 1), torch.stack([a, b, d], 1))
    second = torch.where(flip[:, None], torch.stack([b, c, d], 1), torch.stack([a, c, d], 1))
    faces = torch.cat([first, second])
    times = torch.zeros(8, 8)
    for face in faces:  # alone, so that none hides another
        seen = KERNELS[implementation].rasterize(
            place.reshape(1, -1, 3), face[None], torch.tensor([8.0]), (8, 8), 0.01
        )[0]
        times += (seen[0] >= 0).float()
    # the square's left and top edges lie on centres and are in; its right and bottom edges are out
    wanted = torch.zeros(8, 8)
    wanted[2 : 2 + n, 2 : 2 + n] = 1
    assert torch.equal(times, wanted)


@everywhere
def test_equal_depth_shows_the_lowest_index(implementation) -> None:
    vertices, faces = soup(5, 20)
    turned = torch.cat([faces, faces[:, [0, 2, 1]], faces[:, [1, 2, 0]]])
    cameras = views(5)
    out = rasterize(vertices, turned, cameras, (40, 40), implementation=implementation)
    once = rasterize(vertices, faces, cameras, (40, 40), implementation=implementation)
    assert torch.equal(out.face, once.face)
    assert (out.face >= 0).any()


@everywhere
def test_a_floor_that_runs_under_and_behind_the_camera(implementation) -> None:
    height, near = 0.7, 0.2
    vertices = torch.tensor([[-1e4, -height, -1e4], [1e4, -height, -1e4], [0.0, -height, 1e4]])
    faces, size = torch.tensor([[0, 1, 2]]), (64, 48)
    out = rasterize(vertices, faces, ahead(150.0), size, near=near, implementation=implementation)
    v = torch.arange(64) + 0.5 - 32
    depth = height * ahead(150.0).focal(64) / v
    row = torch.where((v > 0) & (depth > near), depth, 0.0)
    seen = row[:, None].expand(size)
    assert 0 < int((row > 0).sum()) < 32  # the rows nearest to the feet are cut off
    torch.testing.assert_close(out.depth[0], seen, rtol=1e-3, atol=0)
    torch.testing.assert_close(out.barycentric[0].sum(-1), (seen > 0).float())


@everywhere
def test_what_covers_nothing(implementation) -> None:
    size, cameras = (16, 17), ahead()
    line = facing([(-0.5, -0.4), (0.0, 0.1), (0.5, 0.6)])  # no area
    edge_on = torch.tensor(
        [[0.0, 0.0, -1.0], [0.0, 0.0, -3.0], [0.0, 0.5, -2.0]]
    )  # odd width: through centres
    behind = facing([(-9.0, -9.0), (9.0, -9.0), (0.0, 9.0)], z=1.0)
    beside = facing([(5.0, 0.0), (7.0, 0.0), (6.0, 1.0)])
    at_eye = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    vertices = torch.cat([line, edge_on, behind, beside, at_eye])
    faces = torch.cat([torch.arange(15).reshape(5, 3), torch.tensor([[0, 0, 1], [4, 4, 4]])])
    for chosen in (faces, faces[:0]):
        out = rasterize(vertices, chosen, cameras, size, implementation=implementation)
        assert (out.face == -1).all()
        assert (out.barycentric == 0).all()
        assert (out.depth == 0).all()
        assert (interpolate(vertices, out, chosen, implementation=implementation) == 0).all()


@everywhere
def test_a_triangle_larger_than_the_screen_and_a_screen_of_one_pixel(implementation) -> None:
    vertices, faces = facing([(-1e3, -1e3), (1e3, -1e3), (0.0, 1e3)], z=-2.0), torch.tensor([[2, 1, 0]])
    for size in ((33, 18), (1, 1)):
        out = rasterize(vertices, faces, ahead(), size, implementation=implementation)
        assert (out.face == 0).all()
        torch.testing.assert_close(out.depth, torch.full((1, *size), 2.0))
        torch.testing.assert_close(out.barycentric.sum(-1), torch.ones(1, *size))


@everywhere
def test_thousands_on_one_pixel(implementation) -> None:
    count = 3000
    depth = torch.linspace(3.0, 1.0, count)
    corners = torch.tensor([[-0.6, -0.6, -1.0], [0.6, -0.6, -1.0], [0.0, 0.9, -1.0]])
    vertices = (corners * depth[:, None, None]).reshape(-1, 3)
    faces = torch.arange(3 * count).reshape(-1, 3)
    out = rasterize(vertices, faces, ahead(), (1, 1), implementation=implementation)
    assert out.face.item() == count - 1
    assert out.depth.item() == pytest.approx(1.0)


@everywhere
@settings(max_examples=10, deadline=None, suppress_health_check=SAME_CHOICE)
@given(seed=seeds)
def test_what_is_linear_in_space_is_interpolated_exactly(implementation, seed) -> None:
    vertices, faces = soup(seed, 20)
    cameras, size = views(seed), (20, 23)
    out = rasterize(vertices, faces, cameras, size, implementation=implementation)
    value = interpolate(vertices, out, faces, implementation=implementation)
    corners = interpolate(vertices[faces], out, faces, implementation=implementation)
    assert torch.equal(value, corners)
    origin, direction = rays(cameras, size)
    axis = -cameras.c2w[:, None, None, :3, 2]
    point = origin + direction * (out.depth / (direction * axis).sum(-1))[..., None]
    hit = out.face >= 0
    torch.testing.assert_close(value[hit], point[hit], rtol=1e-4, atol=1e-4)
    assert (value[~hit] == 0).all()


@everywhere
def test_bad_input_is_refused_by_name(implementation) -> None:
    which = {"implementation": implementation}
    vertices, faces = soup(1, 4)
    cameras, size = views(1), (8, 8)
    broken = vertices.clone()
    broken[3, 1] = math.nan
    with pytest.raises(NonFiniteError, match=r"vertices\[3, 1\] is nan"):
        rasterize(broken, faces, cameras, size, **which)
    with pytest.raises(NonFiniteError, match=r"fov_y_deg\[1\] is inf"):
        rasterize(vertices, faces, replace(cameras, fov_y_deg=torch.tensor([40.0, math.inf])), size, **which)
    out = rasterize(vertices, faces, cameras, size, **which)
    with pytest.raises(NonFiniteError, match=r"attributes\[3, 1\] is nan"):
        interpolate(broken, out, faces, **which)
    for wrong in (-1, len(vertices)):
        outside = faces.clone()
        outside[2, 1] = wrong
        with pytest.raises(RasterError, match=r"faces\[2\] is .* but there are 11 vertices"):
            rasterize(vertices, outside, cameras, size, **which)
    seen = replace(out, face=torch.full_like(out.face, 4))
    with pytest.raises(RasterError, match="face 4, but there are 4 faces"):
        interpolate(vertices, seen, faces, **which)
    with pytest.raises(RasterError, match="positive"):
        rasterize(vertices, faces, cameras, size, near=0.0, **which)


def test_arrays_of_wrong_shape_or_type_are_refused() -> None:
    draw, mix = inspect.unwrap(rasterize), inspect.unwrap(interpolate)  # without the tests' own shape check
    vertices, faces = soup(1, 4)
    cameras, size = views(1), (8, 8)
    fragments = draw(vertices, faces, cameras, size)
    with pytest.raises(RasterError, match="int32 or int64"):
        draw(vertices, faces.float(), cameras, size)
    with pytest.raises(RasterError, match=r"\(any, 3\)"):
        draw(vertices[:, :2], faces, cameras, size)
    with pytest.raises(RasterError, match=r"attributes must be floats \(4, 3, any\)"):
        mix(torch.zeros(5, 3, 2), fragments, faces)
    with pytest.raises(RasterError, match="float64"):
        mix(vertices.double(), fragments, faces)


@pytest.mark.cuda
def test_the_twin_on_a_gpu_sees_what_the_cpu_sees() -> None:
    vertices, faces = soup(7, 40)
    cameras = views(7)
    here = rasterize(vertices, faces, cameras, (40, 30))
    there = rasterize(vertices.cuda(), faces.cuda(), cameras.to("cuda"), (40, 30), implementation="twin")
    assert (here.face == there.face.cpu()).float().mean() > 0.999
    same = here.face == there.face.cpu()
    torch.testing.assert_close(there.depth.cpu()[same], here.depth[same], rtol=1e-4, atol=1e-5)
    value = interpolate(vertices.cuda(), there, faces.cuda(), implementation="twin")
    assert value.is_cuda
