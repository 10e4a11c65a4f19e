"""Edited scenes: cameras in the file's own space, regions, which texels a mesh reads, masks lifted from a view."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from edit_cases import mask_file, mesh_file, some_splats, splat_file, textured_mesh, two_part_glb
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sds3d.representations import edited_mesh, edited_splats
from sds3d.representations.edited import SceneEdit
from sds3d.representations.edited_mesh.footprint import readable
from sds3d.representations.region import Asked, parse_region

from sds3d import assetio
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError, ConfigError
from sds3d.core.frame import Frame, fitted_frame, upright
from sds3d.core.look import Look
from sds3d.core.streams import Streams

LOOK = Look(orbit([20.0, 130.0], 15.0), (24, 24), torch.ones(2, 3))
AXES = ("+x", "-x", "+y", "-y", "+z", "-z")


def scene(file, **edit):
    """The edited file."""
    module = edited_mesh if file.suffix in (".glb", ".obj") else edited_splats
    return module.create(module.Options(), Streams(0), SceneEdit(file=str(file), **edit))


@pytest.mark.parametrize("up", AXES)
@given(angle=st.floats(-180, 180))
def test_a_turn_is_a_rotation_that_puts_our_up_on_the_axis(up, angle):
    turn = torch.tensor(upright(up, angle), dtype=torch.float64)
    torch.testing.assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(turn)) == pytest.approx(1.0)
    axis = torch.zeros(3, dtype=torch.float64)
    axis["xyz".index(up[1])] = 1.0 if up[0] == "+" else -1.0
    torch.testing.assert_close(turn[:, 1], axis)


@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), up=st.sampled_from(AXES))
def test_moved_cameras_see_what_moved_points_would_show(seed, scale, up):
    """Camera coordinates of asset points by framed cameras are `scale` times those of world points by our cameras."""
    x, y, z = (Streams(seed).normal((3,), "centre")[0] * 10).tolist()
    frame = Frame(scale, upright(up, 33.0), (x, y, z))
    world = Streams(seed).normal((5, 3), "points")[0].double()
    asset = world @ (frame.matrix()[:3, :3]).T + frame.matrix()[:3, 3]
    torch.testing.assert_close(frame.to_world(asset), world)
    cameras = orbit([40.0], 20.0)
    moved = frame.cameras(cameras)

    def seen(points, c):
        return (points - c.position[0].double()) @ c.c2w[0, :3, :3].double()

    torch.testing.assert_close(
        seen(asset, moved) / scale, seen(world, cameras), atol=2e-5 + 1e-4 / scale, rtol=1e-4
    )
    assert float(moved.distance[0]) == pytest.approx(2.4 * scale)


@given(st.integers(0, 1000))
def test_a_fitted_frame_centres_and_reaches(seed):
    points = Streams(seed).normal((20, 3), "points")[0] * 7 + 3
    frame = fitted_frame(points, upright("+z"), 0.75)
    world = frame.to_world(points)
    assert float(world.norm(dim=1).max()) == pytest.approx(0.75)
    centre = 0.5 * (world.amin(0) + world.amax(0))
    torch.testing.assert_close(centre, torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale", [0.002, 500.0])
def test_splats_look_the_same_wherever_they_lie(tmp_path, scale):
    """The same splats far away, in other units and upside down: the same picture, and depth in our units."""
    here = scene(splat_file(tmp_path, degree=0), up="+y").render(LOOK)
    far = some_splats(degree=0)
    half_turn = torch.tensor([1.0, -1.0, -1.0])  # about x
    w, x, y, z = far.rotations.unbind(1)
    moved = replace(
        far,
        means=far.means * half_turn * scale + torch.tensor([3.0, 5.0, -4.0]) * scale,
        scales=far.scales * scale,
        rotations=torch.stack([-x, w, -z, y], dim=1),  # the half turn after the splat's own rotation
    )
    path = tmp_path / "far.ply"
    assetio.write(moved, path, "3dgs")
    there = scene(path, up="-y").render(LOOK)
    for name in ("rgb", "alpha", "depth"):
        torch.testing.assert_close(there[name], here[name], atol=3e-3, rtol=1e-3)


def test_the_same_mesh_in_other_units_looks_the_same(tmp_path):
    here = scene(mesh_file(tmp_path)).render(LOOK)
    mesh = textured_mesh()
    path = tmp_path / "large.glb"
    assetio.write(replace(mesh, vertices=mesh.vertices * 300 + 1000), path)
    there = scene(path).render(LOOK)
    torch.testing.assert_close(there["rgb"], here["rgb"], atol=0.02, rtol=0)


def test_keep_decides_what_moves(tmp_path):
    files = splat_file(tmp_path), mesh_file(tmp_path)
    moving = [
        [sorted(scene(f, keep=k, up="+y").differences.values) for f in files]
        for k in ("shape", "colour", "nothing")
    ]
    assert moving[0] == [["sh_dc", "sh_rest"], ["texels0"]]
    assert moving[1] == [["log_scales", "logit_opacities", "means", "rotations"], ["offsets"]]
    assert moving[2] == [sorted(a + b) for a, b in zip(moving[0], moving[1], strict=True)]


def test_regions_of_splats_hold_the_rows_inside(tmp_path):
    path = splat_file(tmp_path)
    means = some_splats().means
    one = scene(path, region=("box:0,-1,-1,1,1,1",), up="+y")
    assert torch.equal(one.differences.rows["means"], (means[:, 0] >= 0).nonzero()[:, 0])
    two = scene(path, region=("sphere:0,0.3,0,0.2", "box:0,-1,-1,1,1,1 & sphere:0,-0.3,0,0.3"), up="+y")
    ball = (means - torch.tensor([0.0, 0.3, 0.0])).norm(dim=1) <= 0.2
    both = (means[:, 0] >= 0) & ((means - torch.tensor([0.0, -0.3, 0.0])).norm(dim=1) <= 0.3)
    assert torch.equal(two.differences.rows["means"], (ball | both).nonzero()[:, 0])


def test_parts_and_materials_by_name(tmp_path):
    path = two_part_glb(tmp_path)
    assert sorted(scene(path, region=("part:left",), keep="shape").differences.values) == ["texels0"]
    assert sorted(scene(path, region=("material:PLAIN",), keep="shape").differences.values) == ["colors"]
    assert sorted(scene(path, region=("part:*",), keep="shape").differences.values) == ["colors", "texels0"]
    # both nodes show one array of positions in two places: its vertices stay
    with pytest.raises(ConfigError, match="nothing in two"):
        scene(path, keep="colour")


def test_colours_pick_what_looks_so(tmp_path):
    path = splat_file(tmp_path, degree=0)
    colours = 0.5 + 0.28209479177387814 * some_splats(degree=0).sh[:, 0]
    one = scene(path, region=("colour:808080,0.25",), up="+y")
    wanted = (colours - 128 / 255).norm(dim=1) <= 0.25
    assert 0 < int(wanted.sum()) < len(wanted)
    assert torch.equal(one.differences.rows["means"], wanted.nonzero()[:, 0])


@pytest.mark.parametrize("left", [True, False])
def test_a_painted_mask_takes_what_its_view_shows(tmp_path, left):
    """Painted over the front's left half: nothing on the right, nothing behind."""
    mask = mask_file(tmp_path, left)
    for path in (splat_file(tmp_path), mesh_file(tmp_path, textured=False)):
        one = scene(path, region=(f"mask:{mask}@0,0",), keep="shape", up="+y")
        if path.suffix == ".ply":
            world = one.frame.to_world(one.columns.means)[one.differences.rows["sh_dc"]]
        else:
            rows = one.differences.rows["colors"]
            world = torch.stack(
                [one.frame.to_world(one.scene.places)[one.group == r].mean(0) for r in rows.tolist()]
            )
        assert len(world)
        assert bool(((world[:, 0] <= 0.02) if left else (world[:, 0] >= -0.02)).all())
        assert float(world[:, 2].max()) > 0.2
        assert float(world[:, 2].mean()) > 0


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ("box:1,2,3", "expected 6 numbers"),
        ("sphere:0,0,0,nan", "expected 4 numbers"),
        ("colour:red", "six hexadecimal digits"),
        ("ball:0,0,0,1", "is no region"),
        ("part:", "is no region"),
        ("box:50,50,50,60,60,60", "may change"),
    ],
)
def test_regions_that_cannot_be(tmp_path, region, told):
    """The options refuse what has no form, the scene what meets nothing."""
    with pytest.raises((ConfigError, ValidationError), match=told):
        scene(splat_file(tmp_path), region=(region,), up="+y")


def test_a_mask_is_a_square_picture(tmp_path):
    path = tmp_path / "wide.png"
    assetio.write(assetio.kinds.Picture(torch.ones(3, 4, 8)), path)
    with pytest.raises(AssetError, match="square"):
        scene(splat_file(tmp_path), region=(f"mask:{path}@0,0",), up="+y")


WANTED = replace(LOOK, want=frozenset({"rgb", "alpha", "region"}))


@pytest.mark.parametrize("keep", ["shape", "colour"])
def test_the_region_is_drawn_for_priors_that_fill_it(tmp_path, keep):
    """All of the object where everything may change, and where nothing of it may, nothing."""
    for path in (splat_file(tmp_path), mesh_file(tmp_path), mesh_file(tmp_path, "obj", textured=False)):
        whole = scene(path, keep=keep, up="+y").render(WANTED)
        torch.testing.assert_close(whole["region"], whole["alpha"], atol=0.02, rtol=0)
        low, high = (-0.02, 0.02) if path.suffix == ".ply" else (-9.0, -0.2)
        some = scene(path, keep=keep, up="+y", region=(f"box:{low},-9,-9,{high},9,9",)).render(WANTED)
        assert 0.0 < float(some["region"].sum()) < 0.9 * float(whole["alpha"].sum())
        assert bool((some["region"] <= some["alpha"] + 0.02).all())


def everything(points, column, row):
    return torch.ones(len(points), dtype=torch.bool)


@given(st.integers(0, 2000), st.floats(-1.5, 1.5))
def test_no_texel_that_a_face_reads_is_missed(seed, shift):
    """Bilinear look-ups anywhere on a face read marked texels only, wherever its coordinates lie."""
    u = Streams(seed).uniform((1, 3, 2), "uv")[0]
    uv = (0.6 * u + shift).float()
    corners = Streams(seed).normal((1, 3, 3), "corners")[0].float()
    size = (7, 9)
    read, fixed = readable(uv, corners, everything, size)
    assert not bool(fixed.any())
    weight = Streams(seed).uniform((64, 3), "weights")[0]
    at = (weight / weight.sum(1, keepdim=True)).double() @ uv[0].double()
    x, y = at[:, 0] * size[1] - 0.5, at[:, 1] * size[0] - 0.5
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = (x.floor().long() + dx) % size[1], (y.floor().long() + dy) % size[0]
            assert bool(read[row, column].all())


def test_texels_that_two_sides_share_are_fixed():
    """Two faces on the same texels, one of which may not change: none of their texels may."""
    uv = torch.tensor([[[0.2, 0.2], [0.8, 0.2], [0.2, 0.8]]]).expand(2, 3, 2)
    corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]]).repeat(2, 1, 1)
    corners[1, :, 2] = 5.0
    read, fixed = readable(uv, corners, lambda p, x, y: p[:, 2] < 1, (16, 16))
    assert torch.equal(read, fixed)
    assert bool(read.any())


def test_a_region_without_selectors_is_everything():
    points = torch.zeros(3, 3)

    def never(atom):
        raise AssertionError(atom)

    assert bool(parse_region((), never).holds(Asked(points)).all())
    assert not bool(parse_region(("part:x",), never).holds(Asked(points)).any())
    assert bool(parse_region(("part:X*",), never).holds(Asked(points, part="xyz")).all())


def test_what_a_person_should_know_is_told(tmp_path):
    """How a capture was taken to stand, and what does not come back as it was."""
    capture = splat_file(tmp_path)
    assert "up axis is -y" in scene(capture).notes[0]
    assert scene(capture, up="-y").notes == ()
    assert scene(mesh_file(tmp_path)).notes == ()
    assert "GLB" in scene(mesh_file(tmp_path, "obj", textured=False)).notes[0]
