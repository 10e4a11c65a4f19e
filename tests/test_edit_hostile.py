"""Broken and hostile files are refused by `sds3d edit` with a reason, before anything is made or anything else read."""

from __future__ import annotations

import json
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from edit_cases import edit_config, glb_parts, mesh_file, splat_file, two_part_glb

from sds3d.assetio.image_bytes import encode_png
from sds3d.core.errors import Sds3dError
from sds3d.jobs.batch import create_folder

SPLAT_COLUMNS = [*"xyz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", *(f"scale_{i}" for i in range(3))]
SPLAT_COLUMNS += [f"rot_{i}" for i in range(4)]


def refused(path, *reasons: str) -> None:
    """An edit of the file is refused in one paragraph, and no run folder is made."""
    runs = path.parent / "runs"
    with pytest.raises(Sds3dError) as caught:
        create_folder(edit_config(runs, path))
    text = str(caught.value)
    for reason in reasons:
        assert reason in text
    assert "\n" not in text
    assert not runs.exists()


def splat_header(count: int, columns: list[str]) -> bytes:
    lines = "".join(f"property float {name}\n" for name in columns)
    return f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{lines}end_header\n".encode()


def test_a_header_of_100_million_splats_costs_nothing(tmp_path):
    path = tmp_path / "huge.ply"
    path.write_bytes(splat_header(100_000_000, SPLAT_COLUMNS) + bytes(100))
    refused(path)  # imports cost memory too
    tracemalloc.start()
    refused(path, "cut off", "100000000")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("count", [1, 8, 12, 44, 48])
def test_harmonics_of_no_degree_are_refused(tmp_path, count):
    columns = SPLAT_COLUMNS + [f"f_rest_{i}" for i in range(count)]
    path = tmp_path / "odd.ply"
    path.write_bytes(splat_header(2, columns) + np.ones((2, len(columns)), "<f4").tobytes())
    refused(path, f"{count} f_rest columns")


def test_a_missing_column_is_named(tmp_path):
    columns = [name for name in SPLAT_COLUMNS if name != "rot_2"]
    path = tmp_path / "bare.ply"
    path.write_bytes(splat_header(2, columns) + np.ones((2, len(columns)), "<f4").tobytes())
    refused(path, "rot_2")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["x", "scale_1", "f_dc_2", "rot_0"])
def test_numbers_that_nobody_can_draw_are_refused(tmp_path, name, value):
    rows = np.linspace(0.1, 0.3, 3 * len(SPLAT_COLUMNS), dtype="<f4").reshape(3, -1)
    rows[1, SPLAT_COLUMNS.index(name)] = value
    path = tmp_path / "nan.ply"
    path.write_bytes(splat_header(3, SPLAT_COLUMNS) + rows.tobytes())
    refused(path, "nan.ply")


def test_a_package_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    path = tmp_path / "bomb.usdz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.usda", b"#usda 1.0\n" + b" " * 30_000_000)
    refused(path)
    tracemalloc.start()
    refused(path, "larger than itself")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "target", ["../secret.png", "/etc/hostname", "file:///etc/hostname", "https://a.b/c.png"]
)
def test_no_reference_leaves_the_folder(tmp_path, target):
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(encode_png(torch.zeros(3, 1, 1)))
    (inside / "a.mtl").write_text(f"newmtl m\nmap_Kd {target}\n")
    (inside / "a.obj").write_text(
        "mtllib a.mtl\nusemtl m\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n"
    )
    refused(inside / "a.obj", "beside it")
    (inside / "b.obj").write_text(f"mtllib {target}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    refused(inside / "b.obj", "beside it")
    for key in ("images", "buffers"):
        document, body = glb_parts(two_part_glb(tmp_path).read_bytes())
        (inside / "data.bin").write_bytes(body)
        document["buffers"][0]["uri"] = target if key == "buffers" else "data.bin"
        if key == "images":
            document["images"] = [{"uri": target}]
        path = inside / f"{key}.gltf"
        path.write_text(json.dumps(document))
        refused(path, "beside it")


@pytest.mark.parametrize("size", [0.0, 0.5, 0.99])
def test_cut_files_are_refused(tmp_path, size):
    for path in (splat_file(tmp_path), mesh_file(tmp_path), mesh_file(tmp_path, "ply")):
        data = path.read_bytes()
        path.write_bytes(data[: int(size * len(data))])
        refused(path)


def test_what_is_no_asset_is_refused(tmp_path):
    for name, data in (("a.txt", b"hello"), ("b.png", encode_png(torch.ones(3, 2, 2)))):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "holds nothing to edit")
    refused(tmp_path, "no file and no run")


def test_points_at_one_place_are_refused(tmp_path):
    rows = np.full((3, len(SPLAT_COLUMNS)), 0.1, "<f4")
    path = tmp_path / "dot.ply"
    path.write_bytes(splat_header(3, SPLAT_COLUMNS) + rows.tobytes())
    refused(path, "one place")


def test_the_bytes_that_are_read_again_are_those_that_were_checked(tmp_path):
    """A picture beside a glTF that cannot be read is no reason to write half a file."""
    document, body = glb_parts(two_part_glb(tmp_path).read_bytes())
    (tmp_path / "data.bin").write_bytes(body)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    document["buffers"][0]["uri"] = "data.bin"
    document["images"] = [{"uri": "picture.png"}]
    path = tmp_path / "two.gltf"
    path.write_text(json.dumps(document))
    refused(path, "picture.png")
