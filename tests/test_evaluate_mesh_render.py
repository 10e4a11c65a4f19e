"""The evaluation renderer against rays, closed forms and its own convention."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.assets import Mesh
from sds3d.core.cameras import orbit, rays
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh

SIZE = (48, 64)


def triangles(seed: int, count: int) -> Mesh:
    """Random triangles in the unit ball, each vertex coloured by its own position mapped to [0, 1]."""
    vertices = (Streams(seed).uniform((3 * count, 3), "triangles")[0].float() - 0.5) * 1.1
    return Mesh(vertices, torch.arange(3 * count).reshape(-1, 3), colors=vertices / 2 + 0.5)


def sphere(radius: float, detail: int = 4) -> Mesh:
    trimesh = pytest.importorskip("trimesh")
    ball = trimesh.creation.icosphere(detail, radius=radius)
    return Mesh(torch.tensor(ball.vertices).float(), torch.tensor(ball.faces))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), azimuth=st.floats(-180, 180), elevation=st.floats(-85, 85))
def test_colour_and_depth_agree_with_the_ray_through_the_pixel(seed, azimuth, elevation):
    mesh, cameras = triangles(seed, 4), orbit([azimuth], elevation)
    out = render_mesh(mesh, cameras, SIZE)
    origin, direction = (v.double() for v in rays(cameras, SIZE))
    hit = out["alpha"][0, 0] > 0
    # the colour is the position that was hit: it must lie on the pixel's ray, at the depth that is claimed
    point = (out["rgb"][0].permute(1, 2, 0)[hit].double() - 0.5) * 2
    along = ((point - origin[0][hit]) * direction[0][hit]).sum(-1)
    off = (point - origin[0][hit] - along[:, None] * direction[0][hit]).norm(dim=-1)
    assert off.numel() == 0 or float(off.max()) < 1e-4
    axis = -cameras.c2w[0, :3, 2].double()
    assert torch.allclose(out["depth"][0, 0][hit].double(), (point - origin[0][hit]) @ axis, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_coverage_and_order_agree_with_ray_triangle_intersection(seed):
    mesh, cameras = triangles(seed, 5), orbit([30.0], 20.0)
    out = render_mesh(mesh, cameras, SIZE)
    origin, direction = (v[0].reshape(-1, 3).double() for v in rays(cameras, SIZE))
    a, b, c = mesh.vertices[mesh.faces].double().unbind(1)
    system = torch.stack(
        [(b - a).expand(len(direction), -1, -1), (c - a).expand(len(direction), -1, -1)], dim=-1
    )
    system = torch.cat([system, -direction[:, None, :, None].expand(-1, len(a), -1, -1)], dim=-1)
    u, v, t = torch.linalg.solve(system, (origin[:, None] - a)[..., None])[..., 0].unbind(-1)
    margin = torch.minimum(torch.minimum(u, v), 1 - u - v)
    t = torch.where(margin >= 0, t, torch.full_like(t, math.inf)).min(1).values
    clear = (margin.abs() > 1e-6).all(1)
    axis = -cameras.c2w[0, :3, 2].double()
    depth = torch.where(torch.isinf(t), torch.zeros_like(t), t * (direction @ axis))
    assert torch.allclose(out["depth"].reshape(-1)[clear].double(), depth[clear], atol=1e-5)


def test_a_ball_covers_the_disc_of_the_closed_form():
    radius, size = 0.5, 128
    out = render_mesh(sphere(radius), orbit([0.0, 77.0], [10.0, -40.0]), (size, size), samples=2)
    focal = 0.5 * size / math.tan(math.radians(22.5))
    disc = math.pi * (focal * math.tan(math.asin(radius / 2.4))) ** 2
    assert out["alpha"].sum((1, 2, 3)).tolist() == pytest.approx([disc] * 2, rel=0.01)
    assert out["depth"][:, 0, 64, 64].tolist() == pytest.approx([2.4 - radius] * 2, abs=2e-3)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "where", "side"),
    [
        (0.0, 0.0, (0.5, 0.0, 0.0), "right"),
        (90.0, 0.0, (0.0, 0.0, 0.5), "left"),
        (180.0, 0.0, (0.5, 0.0, 0.0), "left"),
        (0.0, 0.0, (0.0, 0.5, 0.0), "top"),
        (0.0, 80.0, (0.0, 0.0, 0.5), "bottom"),
    ],
)
def test_a_marker_is_seen_on_its_side(azimuth, elevation, where, side):
    marker = sphere(0.08, 1)
    marker = Mesh(marker.vertices + torch.tensor(where), marker.faces)
    alpha = render_mesh(marker, orbit([azimuth], elevation), (64, 64))["alpha"][0, 0]
    y, x = (v.float().mean() for v in alpha.nonzero(as_tuple=True))
    assert {"left": x < 24, "right": x > 40, "top": y < 24, "bottom": y > 40}[side]


def test_samples_average_a_finer_picture():
    mesh, cameras = triangles(3, 6), orbit([10.0], 0.0)
    back = torch.tensor([[0.2, 0.4, 0.6]])
    fine = render_mesh(mesh, cameras, (96, 128), back)
    coarse = render_mesh(mesh, cameras, SIZE, back, samples=2)
    for name in ("rgb", "alpha"):
        assert torch.allclose(torch.nn.functional.avg_pool2d(fine[name], 2), coarse[name], atol=1e-6)
    empty = coarse["alpha"][0, 0] == 0
    assert torch.allclose(coarse["rgb"][0][:, empty], back[0][:, None].expand(-1, int(empty.sum())))


def test_what_cannot_be_shown_is_refused():
    mesh, cameras = triangles(1, 2), orbit([0.0], 0.0)
    with pytest.raises(ValueError, match="no faces"):
        render_mesh(Mesh(mesh.vertices, mesh.faces[:0]), cameras, SIZE)
    with pytest.raises(ValueError, match="behind the camera"):
        render_mesh(Mesh(mesh.vertices * 20, mesh.faces), cameras, SIZE)
    textured = Mesh(mesh.vertices, mesh.faces, uv=torch.zeros(6, 2), texture=torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match="texture"):
        render_mesh(textured, cameras, SIZE)
