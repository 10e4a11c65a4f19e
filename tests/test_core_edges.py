"""Core, case by case: exact texts, defaults, boundaries and devices that the property tests leave open."""

from __future__ import annotations

import re

import pytest
import torch

from sds3d.core import plugins, schedules
from sds3d.core.assets import Mesh, PointCloud, Scene, Splats, sample_surface
from sds3d.core.backgrounds import random_backgrounds
from sds3d.core.cameras import Cameras, OrbitSampler, look_at, orbit, rays, turntable
from sds3d.core.lights import headlight
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.core.tree import join, split, tree_hash

# --------------------------------------------------------------------------------------- cameras


def test_one_index_keeps_that_camera():
    c = orbit([0.0, 10.0, 20.0], [1.0, 2.0, 3.0])
    assert c[1].azimuth_deg.tolist() == [10.0]
    assert c[1].elevation_deg.tolist() == [2.0]
    assert c[1].c2w.shape == (1, 4, 4)


def test_every_tensor_moves_to_the_device():
    moved = orbit([0.0], 0.0).to("meta")
    assert isinstance(moved, Cameras)
    assert all(getattr(moved, name).device.type == "meta" for name in Cameras.__dataclass_fields__)


def test_defaults_of_orbits():
    c = turntable(4)
    assert c.azimuth_deg.tolist() == [0.0, 90.0, 180.0, 270.0]
    assert c.elevation_deg.tolist() == [15.0] * 4
    assert c.distance.tolist() == [pytest.approx(2.4)] * 4
    assert turntable(1, fov_y_deg=30.0).fov_y_deg.tolist() == [30.0]
    assert orbit([5.0], 0.0).fov_y_deg.tolist() == [45.0]
    assert {getattr(c, n).dtype for n in ("c2w", "fov_y_deg", "azimuth_deg", "distance")} == {torch.float32}
    assert c.group.dtype == c.ids.dtype == torch.int64
    assert orbit([0.0], 0.0, group=torch.tensor([3]), ids=torch.tensor([4])).ids.tolist() == [4]


def test_the_sampler_by_default():
    sampler = OrbitSampler()
    assert sampler == OrbitSampler((-180.0, 180.0), (-10.0, 60.0), (2.4, 2.4), (45.0, 45.0), 0.45)
    c = sampler.sample(Streams(0), 3, 6)
    assert c.distance.tolist() == [pytest.approx(2.4)] * 6
    assert c.fov_y_deg.tolist() == [45.0] * 6
    jitter = torch.diff(c.azimuth_deg.double().sort().values)
    assert float((jitter - 60).abs().max()) <= 0.45 * 60 + 1e-3
    assert float((jitter - 60).abs().max()) > 1.0


def test_one_view_on_an_arc_may_stand_anywhere_on_it():
    sampler = OrbitSampler(azimuth_deg=(20.0, 40.0), azimuth_jitter=1.0)
    azimuth = torch.cat([sampler.sample(Streams(1), k, 1).azimuth_deg for k in range(300)])
    assert 20.0 <= float(azimuth.min()) < 21.0
    assert 39.0 < float(azimuth.max()) <= 40.0
    still = OrbitSampler(azimuth_deg=(20.0, 40.0), azimuth_jitter=0.0).sample(Streams(1), 0, 2)
    assert still.azimuth_deg.tolist() == [25.0, 35.0]


def test_look_at_takes_another_up_and_keeps_its_dtype():
    position = torch.tensor([[0.0, 0.0, 2.0]], dtype=torch.float64)
    m = look_at(position, torch.zeros(1, 3, dtype=torch.float64), up=(1.0, 0.0, 0.0))
    assert m.dtype == torch.float64
    torch.testing.assert_close(m[0, :3, 1], torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(m[0, :3, 0], torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))
    assert m[0, 3].tolist() == [0.0, 0.0, 0.0, 1.0]
    off = look_at(torch.tensor([[3.0, 0.0, 1.0]]), torch.tensor([[3.0, 0.0, 0.0]]))
    torch.testing.assert_close(off[0, :3, :3], torch.eye(3))


def test_look_at_treats_every_camera_by_itself():
    """Far, near and straight-down cameras in one batch look as they do alone."""
    positions = torch.tensor(
        [[5.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.1, 0.0, 0.2], [-1.0, -3.0, 2.0], [0.0, -1.0, 0.0]]
    )
    together = look_at(positions, torch.zeros(5, 3))
    for k in range(5):
        torch.testing.assert_close(look_at(positions[k : k + 1], torch.zeros(1, 3))[0], together[k])
        frame = together[k, :3, :3]
        torch.testing.assert_close(frame.T @ frame, torch.eye(3))


def test_intrinsics_of_a_wide_image():
    k = orbit([0.0], 0.0, fov_y_deg=90.0).intrinsics((4, 10))[0]
    torch.testing.assert_close(k, torch.tensor([[2.0, 0.0, 5.0], [0.0, 2.0, 2.0], [0.0, 0.0, 1.0]]))


def test_rays_by_hand():
    _, d = rays(orbit([0.0], 0.0, fov_y_deg=90.0), (2, 4))
    expected = torch.tensor([1.5, -0.5, -1.0])
    torch.testing.assert_close(d[0, 1, 3], expected / expected.norm())


# ------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("fast", "a schedule must be a finite number, got 'fast'"),
        (True, "a schedule must be a finite number, got True"),
        ({"linear": [1]}, "linear takes [first, last], got 1 values"),
        ({"linear": 3}, "linear takes a list, got 3"),
        ({"cosine": [1, "x"]}, "cosine must be a finite number, got 'x'"),
        ({"constant": "x"}, "constant must be a finite number, got 'x'"),
        ({"constant": 1, "warmup": "x"}, "warmup must be a finite number, got 'x'"),
        ({"constant": 1, "warmup": 2}, "warmup is a fraction of the run in [0, 1], got 2.0"),
        ({"exponential": [0, 1]}, "exponential needs two positive values"),
        ({"piecewise": []}, "piecewise takes a list of [progress, value] pairs"),
        ({"piecewise": [[0, "x"]]}, "value must be a finite number, got 'x'"),
        ({"piecewise": [["x", 0]]}, "progress must be a finite number, got 'x'"),
        ({"piecewise": [[1, 0], [0, 1]]}, "piecewise knots must be sorted by progress"),
        (
            {"sqrt": [1, 2], "linear": [1, 2]},
            "expected a number or one of constant, linear, sqrt, cosine, exponential, piecewise, got the keys "
            "['linear', 'sqrt']",
        ),
    ],
)
def test_a_wrong_schedule_is_told_exactly(value, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        schedules.parse(value)


@pytest.mark.parametrize(
    "value",
    [
        2.5,
        {"linear": [1.0, 0.0]},
        {"piecewise": [[0.0, 1.0], [1.0, 2.0]]},
        {"constant": 2.0, "warmup": 0.1},
        {"cosine": [1.0, 0.0], "warmup": 0.2},
    ],
)
def test_a_schedule_is_written_as_it_was_read(value):
    assert schedules.parse(value).to_config() == value
    assert schedules.parse({"constant": 3}).to_config() == 3.0


def test_parsing_leaves_the_mapping_alone():
    value = {"linear": [1, 0], "warmup": 0.5}
    schedules.parse(value)
    assert value == {"linear": [1, 0], "warmup": 0.5}


def test_piecewise_at_and_between_its_knots():
    single = schedules.parse({"piecewise": [[0.5, 3.0]]})
    assert [single(p) for p in (0.0, 0.5, 1.0)] == [3.0, 3.0, 3.0]
    jump = schedules.parse({"piecewise": [[0.0, 1.0], [0.5, 1.0], [0.5, 2.0], [1.0, 4.0]]})
    assert [jump(p) for p in (0.5, 0.75, 1.0)] == [1.0, 3.0, 4.0]
    first = schedules.parse({"piecewise": [[0.5, 1.0], [0.5, 2.0], [1.0, 2.0]]})
    assert first(0.5) == 1.0
    assert first(0.6) == 2.0


def test_a_full_warmup_and_its_edges():
    warm = schedules.parse({"constant": 4.0, "warmup": 1.0})
    assert [warm(p) for p in (0.0, 0.5, 1.0)] == [0.0, 2.0, 4.0]
    assert schedules.parse({"constant": 4.0, "warmup": 0.0})(0.0) == 4.0
    assert schedules.constant(4).values == (4.0,)


# --------------------------------------------------------------------------------------- streams


def test_an_uneven_draw_begins_like_the_even_one():
    """Both halves of Box-Muller in order; integers are scaled uniforms."""
    bits = (
        torch.from_numpy(Streams(9)._raw(2, "x", (2,), 5, [7]).view("uint32")[0].astype("float64")) * 2.0**-32
    )
    radius, angle = (-2 * bits[:2].log()).sqrt(), 2 * torch.pi * bits[2:]
    expected = torch.cat([radius * angle.cos(), radius * angle.sin()]).float()
    torch.testing.assert_close(
        Streams(9).normal((4,), "x", 2, step=5, ids=[7])[0], expected, atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        Streams(9).normal((3,), "x", 2, step=5, ids=[7])[0], expected[:3], atol=1e-5, rtol=1e-5
    )
    u = Streams(9).uniform((4,), "x", 2, step=5, ids=[7])[0]
    assert torch.equal(Streams(9).integers(50, (4,), "x", 2, step=5, ids=[7])[0], (u * 50).long())


def test_shapes_keys_and_defaults_of_draws():
    s = Streams(1)
    assert s.integers(3, (2, 5), "k", ids=[1, 2, 3]).shape == (3, 2, 5)
    assert torch.equal(s.integers(99, (6,), "k"), s.integers(99, (6,), "k", step=None, ids=[0]))
    assert torch.equal(s.uniform((6,), "k"), s.uniform((6,), "k", step=None, ids=[0]))
    assert torch.equal(s.normal((6,), "k"), s.normal((6,), "k", step=None, ids=[0]))
    assert not torch.equal(s.integers(99, (6,), "k", 1), s.integers(99, (6,), "k", 2))
    assert not torch.equal(s.integers(99, (6,), "k", step=1), s.integers(99, (6,), "k", step=2))
    assert s.normal((2,), "k").dtype == torch.float32


def test_negative_and_huge_ids_are_streams_too():
    ids = [-1, -2, 2**63, 1]
    draws = Streams(0).uniform((4,), "x", ids=ids)
    assert len({tuple(row) for row in draws.tolist()}) == 4
    assert Streams(5.0).seed == 5


# ------------------------------------------------------------------------------------------ tree


def test_flat_names_and_their_order():
    tree = {"b": {"y": torch.ones(1), "x": 2}, "a": {"z": {"w": torch.zeros(1)}}, "e": {}, "n": None}
    tensors, plain = split(tree)
    assert list(tensors) == ["a.z.w", "b.y"]
    assert plain == {"b.x": 2, "e": {}, "n": None}
    assert join(tensors, plain) == tree


def test_a_dot_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^tree key 'b.c' holds a dot$"):
        split({"a": {"b.c": 1}})


def test_the_hash_is_fixed():
    """A change of this number makes every saved checkpoint look broken."""
    tree = {
        "a": {"x": torch.arange(6, dtype=torch.float32).view(2, 3), "n": [1, 2.5, "s"]},
        "b": torch.zeros(0),
    }
    assert tree_hash(tree) == HASH
    reordered = {"b": tree["b"], "a": dict(reversed(tree["a"].items()))}
    assert tree_hash(reordered) == HASH
    assert tree_hash({"x": torch.tensor(1.0)}) != tree_hash({"x": torch.tensor([1.0])})
    assert tree_hash({"x": float("nan")}) == tree_hash({"x": float("nan")})
    assert tree_hash({"x": torch.ones(1, requires_grad=True)}) == tree_hash({"x": torch.ones(1)})


HASH = "8116edfd6c0a6e5aeab28db7d0bee35f"

# --------------------------------------------------------------------------------------- plug-ins


class Entry:
    def __init__(self, name: str, value: str):
        self.name, self.value = name, value


def test_third_parties_add_but_never_replace(tmp_path, monkeypatch):
    (tmp_path / "ours").mkdir()
    for name in ("__init__", "b", "_private"):
        (tmp_path / "ours" / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    asked = []

    def entry_points(group: str) -> list[Entry]:
        asked.append(group)
        return [Entry("z", "their.z"), Entry("b", "their.b"), Entry("a", "their.a")]

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    found = plugins.scan("ours", "sds3d.things")
    assert list(found.items()) == [("a", "their.a"), ("b", "ours.b"), ("z", "their.z")]
    assert asked == ["sds3d.things"]
    assert plugins.scan("ours") == {"b": "ours.b"}


# -------------------------------------------------------------- assets, lights, backgrounds, look


def test_surface_points_by_their_barycentric_formula():
    """(1 - sqrt u1) A + sqrt u1 (1 - u2) B + sqrt u1 u2 C, in the triangle that u0 picks by area."""
    corners = torch.tensor(
        [[1.0, 1, 1], [2, 1, 1], [1, 2, 1], [5, 1, 2], [7, 1, 2], [5, 4, 2], [0, 0, 9], [1, 0, 9], [0, 5, 9]]
    )
    mesh = Mesh(corners, torch.arange(9).view(3, 3))  # areas 0.5, 3, 2.5
    u = torch.tensor([[0.05, 0.25, 0.5], [0.09, 0.49, 0.2], [0.5, 0.81, 0.9], [0.9999, 0.36, 0.1]])
    points, face = sample_surface(mesh, 4, u)
    assert face.tolist() == [0, 1, 1, 2]
    for row, point, k in zip(u.tolist(), points, face.tolist(), strict=True):
        a, b, c = corners[3 * k : 3 * k + 3]
        r = row[1] ** 0.5
        torch.testing.assert_close(point, (1 - r) * a + r * (1 - row[2]) * b + r * row[2] * c)
    assert points.dtype == torch.float32


def test_defaults_of_assets():
    mesh = Mesh(torch.zeros(3, 3), torch.zeros(1, 3, dtype=torch.int64))
    assert (mesh.name, mesh.colors, mesh.normals, mesh.uv, mesh.texture) == ("mesh", None, None, None, None)
    splats = Splats(
        torch.zeros(1, 3), torch.ones(1, 3), torch.ones(1, 4), torch.ones(1), torch.zeros(1, 16, 3)
    )
    assert (splats.name, splats.sh_degree) == ("splats", 3)
    assert PointCloud(torch.zeros(1, 3)).name == "points"
    assert Scene().notes == ()


def test_lights_live_where_the_cameras_are():
    far = orbit([0.0, 1.0], 0.0).to("meta")
    lights = headlight(far)
    assert {v.device.type for v in (lights.direction, lights.key, lights.ambient)} == {"meta"}
    assert rays(far, (2, 2))[1].device.type == far.intrinsics((2, 2)).device.type == "meta"
    assert far.world_to_camera().device.type == look_at(far.position, far.position).device.type == "meta"


def test_random_backgrounds_by_their_formula():
    u = Streams(4).uniform((4,), "background", step=6, ids=[3, 8, 9]).float()
    found = random_backgrounds(Streams(4), 6, [3, 8, 9], 0.5)
    for row, color in zip(u, found, strict=True):
        assert torch.equal(color, torch.ones(3) if float(row[0]) < 0.5 else row[1:])


def test_a_headlight_and_its_ambient_share_one_light():
    light = headlight(orbit([0.0, 50.0], 20.0), ambient=0.1)
    torch.testing.assert_close(light.key, torch.full((2, 3), 0.9))


def test_a_look_wants_colour_and_alpha_by_default():
    assert Look(None, (1, 1), torch.ones(1, 3)).want == {"rgb", "alpha"}
