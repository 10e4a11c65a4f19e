"""Camera files: what comes back is what went out, and a point falls on the pixel that the maker's formula says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from assetio_cases import provenances
from hypothesis import given
from hypothesis import strategies as st

from sds3d.assetio.cameras import Shots
from sds3d.assetio.cameras_colmap import encode_colmap, read_colmap
from sds3d.assetio.cameras_nerfstudio import encode_nerfstudio, read_nerfstudio
from sds3d.core.assets import PointCloud
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError


@st.composite
def shots(draw: st.DrawFn) -> Shots:
    count = draw(st.integers(1, 5))

    def numbers(low: float, high: float) -> list[float]:
        return draw(st.lists(st.floats(low, high), min_size=count, max_size=count))

    cameras = orbit(numbers(-180, 180), numbers(-90, 90), numbers(0.5, 9), numbers(10, 120))
    size = (draw(st.integers(2, 999)), draw(st.integers(2, 999)))
    return Shots(cameras, size, tuple(f"images/{i:03d}.png" for i in range(count)))


def same_shots(a: Shots, b: Shots) -> None:
    assert a.size == b.size
    assert a.names == b.names
    assert torch.allclose(a.cameras.c2w, b.cameras.c2w, atol=2e-6)
    assert torch.allclose(a.cameras.fov_y_deg, b.cameras.fov_y_deg, atol=1e-4)
    assert torch.allclose(a.cameras.distance, b.cameras.distance, atol=1e-5)
    assert torch.allclose(a.cameras.elevation_deg, b.cameras.elevation_deg, atol=0.05)


@given(shots(), provenances)
def test_nerfstudio_returns_the_cameras(
    tmp_path_factory: pytest.TempPathFactory, original: Shots, origin: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("ns") / "transforms.json"
    path.write_bytes(encode_nerfstudio(original, origin))
    same_shots(original, read_nerfstudio(path))
    assert json.loads(path.read_text()).get("sds3d", {}) == origin


@given(shots(), st.booleans(), provenances)
def test_colmap_returns_the_cameras_and_points(
    tmp_path_factory: pytest.TempPathFactory, original: Shots, binary: bool, origin: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("colmap")
    points = PointCloud(
        torch.tensor([[0.5, -0.25, 1e-3], [1, 2, 3]]), torch.tensor([[1.0, 0, 0.2], [0, 0, 0]])
    )
    for name, data in encode_colmap(original, points, binary, origin).items():
        (folder / name).write_bytes(data)
    found, cloud = read_colmap(folder)
    same_shots(original, found)
    assert cloud is not None
    assert cloud.colors is not None
    assert torch.equal(cloud.points, points.points)
    assert torch.allclose(cloud.colors, points.colors)


def test_colmap_projects_as_its_makers_say(tmp_path: Path) -> None:
    """x = f X / Z + cx with (X, Y, Z) = R(q) p + t, y pointing down: a camera at the front sees +X right, +Y above."""
    one = Shots(orbit([0.0], 0.0, 2.0, 90.0), (100, 200), ("a.png",))
    text = encode_colmap(one, binary=False)
    _, qw, qx, qy, qz, tx, ty, tz, camera, name = text["images.txt"].split()
    assert (camera, name) == (b"1", b"a.png")
    w, x, y, z = (float(v) for v in (qw, qx, qy, qz))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    _, _, width, height, fx, fy, cx, cy = text["cameras.txt"].split()
    assert (width, height, cx, cy) == (b"200", b"100", b"100", b"50")
    seen = rotation @ [0.5, 0.25, 0.0] + [float(tx), float(ty), float(tz)]
    pixel = float(fx) * seen[0] / seen[2] + float(cx), float(fy) * seen[1] / seen[2] + float(cy)
    assert pixel == pytest.approx((100 + 50 * 0.25, 50 - 50 * 0.125), abs=1e-3)


def test_nerfstudio_stands_upright_with_z(tmp_path: Path) -> None:
    one = Shots(orbit([0.0], 90.0, 2.0), (4, 4), ("a.png",))
    matrix = np.array(json.loads(encode_nerfstudio(one))["frames"][0]["transform_matrix"])
    assert matrix[:3, 3] == pytest.approx([0, 0, 2], abs=1e-6), "above is +Z"


BROKEN = [
    b"",
    b"[]",
    b"{}",
    b'{"frames": 3}',
    b'{"frames": [{}], "w": 1, "h": 1}',
    b'{"frames": [], "w": 4, "h": 4}',
]


@pytest.mark.parametrize("data", BROKEN)
def test_broken_transforms_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "transforms.json").write_bytes(data)
    with pytest.raises(AssetError, match=r"transforms\.json"):
        read_nerfstudio(tmp_path / "transforms.json")


@given(st.booleans(), st.data())
def test_cut_colmap_files_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, binary: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    two = Shots(orbit([0.0, 90.0], 0.0), (8, 8), ("a.png", "b.png"))
    files = encode_colmap(two, PointCloud(torch.zeros(2, 3)), binary)
    victim = data.draw(st.sampled_from(sorted(files)))
    files[victim] = files[victim][: data.draw(st.integers(0, len(files[victim]) - 1))]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        found, _ = read_colmap(folder)
    except AssetError:
        return
    assert len(found.names) in (1, 2)
