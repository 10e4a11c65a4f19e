"""Captures on disk: every format gives the poses that were written, points fall on the pixel that the makers' formulas
say, and what is hostile or broken is refused by name."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from capture_cases import ELSEWHERE, around, write_capture, write_png
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sds3d.assetio.capture import place_of, read_capture
from sds3d.assetio.capture_photos import common_size, focal_of, load_photos
from sds3d.core.assets import PointCloud
from sds3d.core.errors import AssetError
from sds3d.core.lenses import COLMAP, UNREAD, Lens, of_colmap
from sds3d.core.streams import Streams

KINDS = ("nerfstudio", "bin", "txt")
UPRIGHT = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
FLIP = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)


def points(count: int = 50) -> torch.Tensor:
    return 0.6 * Streams(1).normal((count, 3), "points")[0].double()


def pixels(lens: Lens, c2w: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Where points fall on a photograph."""
    return lens.project((at - c2w[:3, 3]) @ c2w[:3, :3] * FLIP)


@pytest.mark.parametrize("kind", KINDS)
def test_points_fall_on_the_pixels_of_the_cameras_that_took_the_pictures(tmp_path: Path, kind: str) -> None:
    """Within 1e-4 pixels, in a space that is turned, shifted and scaled."""
    cameras = write_capture(tmp_path, kind, 9, (16, 20), ELSEWHERE)
    capture = read_capture(tmp_path)
    assert [Path(photo.name).name for photo in capture.photos] == [f"{k:03d}.png" for k in range(9)]
    assert (capture.kind == "nerfstudio") == (kind == "nerfstudio")
    at = points()
    there = (
        torch.tensor(ELSEWHERE.centre, dtype=torch.float64)
        + ELSEWHERE.scale * at @ torch.tensor(ELSEWHERE.turn, dtype=torch.float64).T
    )
    if kind == "nerfstudio":
        there = there @ UPRIGHT[:3, :3].T
    for k, photo in enumerate(capture.photos):
        c2w = ELSEWHERE.cameras(cameras).c2w[k].double()
        c2w = UPRIGHT @ c2w if kind == "nerfstudio" else c2w
        focal = 0.5 * 16 / math.tan(math.radians(float(cameras.fov_y_deg[k])) / 2)
        seen = (there - c2w[:3, 3]) @ c2w[:3, :3]
        expected = torch.stack(
            [10 - focal * seen[:, 0] / seen[:, 2], 8 + focal * seen[:, 1] / seen[:, 2]], dim=1
        )
        assert torch.allclose(pixels(photo.lens, photo.c2w, there), expected, atol=1e-4)


def test_a_frame_of_its_own_wins_over_the_head_of_the_file(tmp_path: Path) -> None:
    write_capture(tmp_path, count=3)
    path = tmp_path / "transforms.json"
    document = json.loads(path.read_text())
    document["fl_x"] = document["fl_y"] = 50.0
    for frame in document["frames"][1:]:
        del frame["fl_x"], frame["fl_y"]
    document["frames"][0]["cx"] = 30.5
    path.write_text(json.dumps(document))
    first, second, _ = read_capture(path).photos
    assert (first.lens.cx, second.lens.cx, second.lens.fx) == (30.5, 32.0, 50.0)
    assert first.lens.fx == pytest.approx(32 / math.tan(math.radians(22.5)))


def test_the_synthetic_scenes_are_read(tmp_path: Path) -> None:
    """Names without ending, an angle of view in the place of focal length and size, three rows of a matrix."""
    write_png(tmp_path / "train" / "r_0.png", torch.rand(3, 10, 20))
    frame = {"file_path": "./train/r_0", "transform_matrix": np.eye(4)[:3].tolist()}
    (tmp_path / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": [frame]}))
    (photo,) = read_capture(tmp_path / "transforms_train.json").photos
    assert (photo.lens.width, photo.lens.height) == (20, 10)
    assert photo.lens.fx == photo.lens.fy == pytest.approx(10 / math.tan(0.35))


def test_points_of_both_formats_are_read(tmp_path: Path) -> None:
    cloud = PointCloud(points(5).float(), torch.rand(5, 3))
    write_capture(tmp_path / "colmap", "bin", 3, points=cloud)
    found = read_capture(tmp_path / "colmap").points
    assert found is not None
    assert torch.allclose(found.points, cloud.points)
    from sds3d import assetio

    write_capture(tmp_path / "ns", count=3)
    assetio.write(cloud, tmp_path / "ns" / "sparse.ply", "ply")
    change(tmp_path / "ns" / "transforms.json", ply_file_path="sparse.ply")
    found = read_capture(tmp_path / "ns").points
    assert found is not None
    assert torch.allclose(found.points, cloud.points)


@pytest.mark.parametrize("model", [name for name in COLMAP if name not in UNREAD])
def test_lenses_bend_as_colmap_says(model: str) -> None:
    """Against COLMAP's formulas written out by name, at one point off the axis."""
    values = {"f": 100.0, "fx": 100.0, "fy": 90.0, "cx": 51.0, "cy": 39.0}
    values |= {
        "k": 0.1,
        "k1": 0.1,
        "k2": -0.05,
        "k3": 0.02,
        "k4": 0.01,
        "k5": -0.02,
        "k6": 0.03,
        "p1": 0.004,
        "p2": -0.003,
    }
    names = {
        "SIMPLE_PINHOLE": "f cx cy",
        "PINHOLE": "fx fy cx cy",
        "SIMPLE_RADIAL": "f cx cy k",
        "RADIAL": "f cx cy k1 k2",
        "OPENCV": "fx fy cx cy k1 k2 p1 p2",
        "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
        "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
        "SIMPLE_RADIAL_FISHEYE": "f cx cy k",
        "RADIAL_FISHEYE": "f cx cy k1 k2",
    }[model].split()
    lens = of_colmap(model, 100, 80, [values[name] for name in names])
    has = {name: values[name] for name in names}
    u, v = 0.3, -0.2
    r2 = u * u + v * v
    k1, k2, k3, k4 = (
        has.get("k1", has.get("k", 0.0)),
        has.get("k2", 0.0),
        has.get("k3", 0.0),
        has.get("k4", 0.0),
    )
    if "FISHEYE" in model:
        theta = math.atan(math.sqrt(r2))
        t2 = theta * theta
        factor = theta * (1 + k1 * t2 + k2 * t2**2 + k3 * t2**3 + k4 * t2**4) / math.sqrt(r2)
        du = dv = 0.0
    else:
        factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        factor /= 1 + k4 * r2 + has.get("k5", 0.0) * r2**2 + has.get("k6", 0.0) * r2**3
        p1, p2 = has.get("p1", 0.0), has.get("p2", 0.0)
        du = 2 * p1 * u * v + p2 * (r2 + 2 * u * u)
        dv = 2 * p2 * u * v + p1 * (r2 + 2 * v * v)
    fx, fy = has.get("fx", has.get("f", 0.0)), has.get("fy", has.get("f", 0.0))
    expected = [fx * (u * factor + du) + 51.0, fy * (v * factor + dv) + 39.0]
    found = lens.project(torch.tensor([2 * u, 2 * v, 2.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    assert lens.straight == ("PINHOLE" in model)


@given(st.sampled_from(["brown", "fisheye"]), st.floats(-0.15, 0.15), st.floats(-0.1, 0.1), st.integers(0, 9))
def test_a_straightened_picture_shows_what_lies_in_its_direction(
    kind: str, k1: float, off: float, seed: int
) -> None:
    """A picture whose colour is a smooth function of the direction is that function, whatever lens took it."""
    from sds3d.assetio import capture_photos
    from sds3d.assetio.capture import Photo

    lens = Lens(80, 60, 70.0, 75.0, 40 + 10 * off, 30 - 10 * off, kind, (k1, 0.0, 0.0, 0.0))  # type: ignore[arg-type]
    y, x = torch.meshgrid(torch.arange(60.0) + 0.5, torch.arange(80.0) + 0.5, indexing="ij")
    bent = torch.stack([(x - lens.cx) / lens.fx, (y - lens.cy) / lens.fy], -1).double()
    direction = bent.clone()
    for _ in range(50):  # the inverse of the lens, by its fixed point
        direction = direction + (bent - lens.bent(direction))
    layers = torch.ones(5, 60, 80)
    layers[:2] = 0.5 + 0.4 * direction.permute(2, 0, 1).float()
    monkey = pytest.MonkeyPatch()
    monkey.setattr(capture_photos, "_layers", lambda photo: layers)
    try:
        photo = Photo("a", Path("a"), torch.eye(4, dtype=torch.float64), lens)
        found = load_photos([photo], (60, 80))
    finally:
        monkey.undo()
    focal = focal_of(lens, (60, 80))
    wanted = torch.stack([0.5 + 0.4 * (x - 40) / focal, 0.5 + 0.4 * (y - 30) / focal])
    inside = found.weight[0, 0] > 0
    assert inside.float().mean() > 0.5
    assert float((found.rgb[0, :2].float() / 255 - wanted)[:, inside].abs().max()) < 0.01


def test_pictures_of_several_sizes_share_one_and_what_lies_outside_does_not_count(tmp_path: Path) -> None:
    wide, tall = Lens(40, 20, 30, 30, 20, 10), Lens(20, 40, 30, 30, 10, 20)
    assert common_size([wide, tall], 128) == (40, 40)
    assert common_size([wide], 20) == (10, 20)
    from sds3d.assetio.capture import Photo

    write_png(tmp_path / "w.png", torch.full((3, 20, 40), 0.5))
    write_png(tmp_path / "t.png", torch.full((3, 40, 20), 0.5))
    pose = torch.eye(4, dtype=torch.float64)
    photos = [Photo("w", tmp_path / "w.png", pose, wide), Photo("t", tmp_path / "t.png", pose, tall)]
    found = load_photos(photos, (40, 40))
    counts = found.weight[:, 0] > 0
    assert bool(counts[0, 11:29].all())
    assert not bool(counts[0, :9].any() | counts[0, 31:].any())
    assert bool(counts[1, :, 11:29].all())


def test_masks_and_alpha_are_kept(tmp_path: Path) -> None:
    write_capture(tmp_path, count=2, size=(8, 8), alpha=True)
    mask = torch.zeros(3, 8, 8)
    mask[:, :, :4] = 1
    write_png(tmp_path / "masks" / "m.png", mask)
    document = json.loads((tmp_path / "transforms.json").read_text())
    document["frames"][1]["mask_path"] = "masks/m.png"
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    found = load_photos(read_capture(tmp_path).photos, (8, 8))
    assert found.transparent
    assert bool((found.weight[0] == 255).all())
    assert bool((found.weight[1, 0, :, :3] == 255).all())
    assert not bool(found.weight[1, 0, :, 5:].any())


def change(path: Path, **values) -> None:
    document = json.loads(path.read_text())
    document.update(values)
    path.write_text(json.dumps(document))


def first_frame(path: Path, **values) -> None:
    document = json.loads(path.read_text())
    document["frames"][0].update(values)
    path.write_text(json.dumps(document))


NAN = np.eye(4).tolist()
NAN[0][3] = math.nan
HOSTILE = {
    "escape": ({"file_path": "../../secret.png"}, "not a file beside it"),
    "absolute": ({"file_path": "/etc/passwd"}, "not a file beside it"),
    "scheme": ({"file_path": "http://x/a.png"}, "not a file beside it"),
    "missing": ({"file_path": "images/none.png"}, "does not exist"),
    "no name": ({"file_path": 3}, r"frames\[0\]\.file_path"),
    "nan": ({"transform_matrix": NAN}, "000.png: transform_matrix holds"),
    "shape": ({"transform_matrix": [[1, 2], [3, 4]]}, r"frames\[0\]\.transform_matrix"),
    "words": ({"transform_matrix": "x"}, r"frames\[0\]\.transform_matrix"),
    "no rotation": ({"transform_matrix": (2 * np.eye(4)).tolist()}, "no rotation"),
    "mirror": ({"transform_matrix": np.diag([1.0, 1, -1, 1]).tolist()}, "no rotation"),
    "focal": ({"fl_x": 0.0}, "focal length"),
    "focal huge": ({"fl_x": 10**400}, r"frames\[0\]\.fl_x"),
    "focal text": ({"fl_x": "wide"}, r"frames\[0\]\.fl_x"),
    "size": ({"w": 10**9}, "65536"),
    "model": ({"camera_model": "EQUIRECTANGULAR"}, "image_undistorter"),
    "mask": ({"mask_path": "../m.png"}, "not a file beside it"),
    "mask missing": ({"mask_path": "m.png"}, "does not exist"),
    "twice": ({"file_path": "images/001.png"}, "twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_frame_is_refused_with_file_and_key(tmp_path: Path, name: str) -> None:
    values, reason = HOSTILE[name]
    write_capture(tmp_path, count=2, size=(8, 8))
    first_frame(tmp_path / "transforms.json", **values)
    with pytest.raises(AssetError, match=reason) as caught:
        read_capture(tmp_path)
    assert "transforms.json" in str(caught.value)


@pytest.mark.parametrize("angle", [0, -1, 3.2, 1e300])
def test_an_angle_of_view_that_is_none_is_refused(tmp_path: Path, angle: float) -> None:
    write_capture(tmp_path, count=1, size=(8, 8))
    document = json.loads((tmp_path / "transforms.json").read_text())
    for frame in document["frames"]:
        del frame["fl_x"], frame["fl_y"]
    (tmp_path / "transforms.json").write_text(json.dumps({**document, "camera_angle_x": angle}))
    with pytest.raises(AssetError, match=r"camera_angle_x is"):
        read_capture(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"frames": 1}', '{"frames": [1]}', '{"frames": []}', "[" * 99999]
)
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(AssetError, match=r"transforms\.json"):
        read_capture(tmp_path)


def test_a_colmap_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    write_capture(tmp_path, "txt", 2, (8, 8))
    path = tmp_path / "sparse" / "0" / "images.txt"
    path.write_text(path.read_text().replace("000.png", "../../../etc/passwd"))
    with pytest.raises(AssetError, match="not a file beside it"):
        read_capture(tmp_path)


def test_a_colmap_pose_that_is_none_is_named(tmp_path: Path) -> None:
    write_capture(tmp_path, "txt", 2, (8, 8))
    path = tmp_path / "sparse" / "0" / "images.txt"
    lines = path.read_text().splitlines()
    row = next(k for k, line in enumerate(lines) if line.endswith("001.png"))
    for bad in ("2 nan 0 0 0 0 0 0 2 001.png", "2 0 0 0 0 0 0 0 2 001.png", "2 1 0 0 0 0 inf 0 2 001.png"):
        lines[row] = bad
        path.write_text("\n".join(lines))
        with pytest.raises(AssetError, match=r"001\.png is none"):
            read_capture(tmp_path)


def test_a_model_without_a_formula_names_the_command(tmp_path: Path) -> None:
    write_capture(tmp_path, "txt", 2, (8, 8))
    path = tmp_path / "sparse" / "0" / "cameras.txt"
    path.write_text("1 FOV 8 8 9 9 4 4 0.5\n2 PINHOLE 8 8 9 9 4 4\n")
    with pytest.raises(AssetError, match="colmap image_undistorter"):
        read_capture(tmp_path)


def test_counts_are_looked_at_before_anything_is_made(tmp_path: Path) -> None:
    write_capture(tmp_path, "bin", 2, (8, 8))
    for name in ("cameras", "images", "points3D"):
        path = tmp_path / "sparse" / "0" / f"{name}.bin"
        whole = path.read_bytes()
        path.write_bytes(struct.pack("<Q", 1 << 60) + whole[8:])
        with pytest.raises(AssetError, match=name):
            read_capture(tmp_path)
        path.write_bytes(whole)


def test_a_picture_of_other_proportions_or_none_at_all_is_refused(tmp_path: Path) -> None:
    write_capture(tmp_path, count=2, size=(8, 8))
    photos = read_capture(tmp_path).photos
    write_png(tmp_path / "images" / "000.png", torch.zeros(3, 8, 16))
    with pytest.raises(AssetError, match=r"000\.png: is 16 x 8"):
        load_photos(photos, (8, 8))
    (tmp_path / "images" / "000.png").write_bytes(b"no picture")
    with pytest.raises(AssetError, match=r"000\.png: cannot be read"):
        load_photos(photos, (8, 8))
    with pytest.raises(AssetError, match=r"capture\.size"):
        load_photos(photos, (1 << 15, 1 << 15))


def test_half_the_pictures_size_is_fine(tmp_path: Path) -> None:
    """images_2 of a COLMAP capture: the lens is that of the nominal size."""
    write_capture(tmp_path, "bin", 2, (16, 16))
    for file in (tmp_path / "images").iterdir():
        write_png(file, torch.full((3, 8, 8), 0.25))
    found = load_photos(read_capture(tmp_path).photos, (8, 8))
    assert bool((found.rgb == 64).all() & (found.weight == 255).all())
    assert found.fov_y_deg.tolist() == pytest.approx([45.0, 45.0], abs=1e-4)


def test_sixteen_bits_of_grey_are_not_clipped(tmp_path: Path) -> None:
    write_capture(tmp_path, "bin", 2, (8, 8))
    (tmp_path / "masks").mkdir()
    for path in (tmp_path / "images" / "000.png", tmp_path / "masks" / "000.png.png"):
        Image.fromarray(np.full((8, 8), 0x4040, np.uint16)).save(path)
    found = load_photos(read_capture(tmp_path).photos, (8, 8))
    assert bool((found.rgb[0] == 64).all())
    assert found.weight.flatten(1).amax(1).tolist() == [0, 255], "darker than middle grey counts for nothing"


def test_where_captures_are_found(tmp_path: Path) -> None:
    assert place_of(tmp_path) is None
    write_capture(tmp_path, "txt", 2, (8, 8))
    assert place_of(tmp_path) == tmp_path / "sparse" / "0"
    assert place_of(tmp_path / "sparse") == tmp_path / "sparse" / "0"
    assert read_capture(tmp_path / "sparse" / "0").photos[0].file == tmp_path.resolve() / "images" / "000.png"
    (tmp_path / "images").rename(tmp_path / "pictures")
    with pytest.raises(AssetError, match=r"capture\.images"):
        read_capture(tmp_path)
    assert len(read_capture(tmp_path, "pictures").photos) == 2
    with pytest.raises(AssetError, match="holds no capture"):
        read_capture(tmp_path / "pictures")


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_knows_another_capture(tmp_path: Path, kind: str) -> None:
    write_capture(tmp_path, kind, 2, (8, 8))
    before = read_capture(tmp_path).fingerprint()
    assert read_capture(tmp_path).fingerprint() == before
    write_png(tmp_path / "images" / "001.png", torch.rand(3, 8, 8))
    assert read_capture(tmp_path).fingerprint() != before


def test_the_cameras_of_the_cases_stand_around(tmp_path: Path) -> None:
    """What the tests above rely on: no two cameras at one place."""
    position = around(24).position
    assert float(torch.cdist(position, position).add(torch.eye(24)).min()) > 0.1
