"""Broken and hostile files: each gives one AssetError of one paragraph, quickly, and nothing is touched."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from assetio_cases import tetrahedron
from hostile_cases import GOOD, HUGE, PLY, XYZ, edited_glb, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sds3d import assetio
from sds3d.assetio.files import replacing, sibling, write_atomic
from sds3d.core.assets import Scene
from sds3d.core.errors import AssetError

BROKEN = [
    ("empty.ply", b"", "not a 3D file"),
    ("garbage.glb", bytes(range(256)), "not a 3D file"),
    ("short.glb", GOOD["mesh.glb"][:-40], "cut off"),
    ("header.glb", b"glTF\2\0\0\0", "cut off"),
    ("short.ply", GOOD["mesh.ply"][:-1], "cut off"),
    ("short.3dgs.ply", GOOD["splats.3dgs.ply"][:-5], "cut off"),
    ("endless.ply", b"ply\nformat ascii 1.0\nelement vertex 3\n", "end_header"),
    ("huge.ply", HUGE, "100000000"),
    ("huge_ascii.ply", HUGE.replace(b"binary_little_endian", b"ascii"), "100000000"),
    ("words.ply", PLY % (1, XYZ, 0, b"1 two 3\n"), "no number"),
    ("nan.ply", PLY % (1, XYZ, 0, b"1 nan 3\n"), "finite"),
    ("range.ply", PLY % (3, XYZ, 1, b"0 0 0 1 0 0 0 1 0 3 0 1 7\n"), "face 0 refers to vertices [0, 1, 7]"),
    ("negative.ply", PLY % (3, XYZ, 1, b"0 0 0 1 0 0 0 1 0 3 0 1 -1\n"), "face 0"),
    ("keyword.ply", b"ply\nformat ascii 1.0\nelephant\nend_header\n", "line 3"),
    ("no_xyz.ply", PLY % (1, b"property float a\n", 0, b"1"), "x, y, z"),
    ("packed.ply", PLY % (1, b"property uint packed_position\n", 0, b"1"), "without a chunk"),
    ("sh.3dgs.ply", GOOD["splats.3dgs.ply"].replace(b"f_rest_8", b"f_back_8"), "8 f_rest columns"),
    ("rot.3dgs.ply", GOOD["splats.3dgs.ply"].replace(b"rot_2", b"rat_2"), "'rot_2'"),
    ("words.obj", b"v 0 0 zero\n", "line 1"),
    ("range.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "vertex 4"),
    ("zero.obj", b"v 0 0 0\nf 0 1 1\n", "counts from 1"),
    ("back.obj", b"v 0 0 0\nf -2 -1 -1\n", "names nothing"),
    ("bare.obj", b"v 0 0 0\nvt\n", "line 2"),
    ("digits.obj", b"v 0 0 0\nf 1 1 " + b"9" * 400 + b"\n", "line 2"),
    ("nan.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "finite"),
    ("overflow.obj", b"v 0 0 1e300\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "finite"),
    ("mixed.obj", b"v 0 0 0 1 1 1\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "colours"),
    ("empty.obj", b"# nothing\n", "no vertices"),
    ("thief.obj", b"mtllib ../../etc/passwd\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n", "beside it"),
    ("json.gltf", b"{ not json", "JSON"),
    ("deep.gltf", b"{" + b'"a":[' * 100_000, "JSON"),
    ("old.gltf", b'{"asset": {"version": "1.0"}}', "version 1.0"),
    ("nothing.gltf", b'{"asset": {"version": "2.0"}}', "nothing to read"),
    (
        "meshopt.glb",
        edited_glb(GOOD["mesh.glb"], {"extensionsRequired": ["EXT_meshopt_compression"]}),
        "EXT_meshopt_compression",
    ),
    ("count.glb", edited_glb(GOOD["mesh.glb"], {"accessors.0.count": 10**7}), "accessor needs"),
    ("count2.glb", edited_glb(GOOD["mesh.glb"], {"accessors.0.count": 10**30}), "impossible count"),
    ("offset.glb", edited_glb(GOOD["mesh.glb"], {"bufferViews.0.byteOffset": -4}), "cut off"),
    ("stride.glb", edited_glb(GOOD["mesh.glb"], {"bufferViews.0.byteStride": 4}), "accessor needs"),
    ("type.glb", edited_glb(GOOD["mesh.glb"], {"accessors.0.type": "VEC9"}), "unknown type"),
    ("index.glb", edited_glb(GOOD["mesh.glb"], {"nodes.0.mesh": 5}), "meshes number 5"),
    (
        "indices.glb",
        edited_glb(GOOD["mesh.glb"], {"accessors.0.count": 3, "accessors.1.count": 3}),
        "vertex 3 of 3",
    ),
    ("cycle.glb", edited_glb(GOOD["mesh.glb"], {"nodes.0.children": [0]}), "twice"),
    ("scale.glb", edited_glb(GOOD["mesh.glb"], {"nodes.0.scale": [1, 2]}), "3 finite numbers"),
    ("far.glb", edited_glb(GOOD["mesh.glb"], {"nodes.0.translation": [1e300, 0, 0]}), "finite"),
    ("thief.glb", edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": "../secret.bin"}), "beside it"),
    ("thief2.glb", edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": "%2e%2e/secret.bin"}), "beside it"),
    ("root.glb", edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": "/etc/passwd"}), "beside it"),
    ("web.glb", edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": "http://127.0.0.1/a.bin"}), "beside it"),
    ("file.glb", edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": "file:///etc/passwd"}), "beside it"),
    ("gone.glb", edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": "gone.bin"}), "does not exist"),
    ("base64.glb", edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": "data:;base64,!!!"}), "data URI"),
    ("image.glb", edited_glb(GOOD["textured.glb"], {"images.0.bufferView": 0}), "cannot be read"),
]


@pytest.mark.parametrize(("name", "data", "reason"), BROKEN, ids=[b[0] for b in BROKEN])
def test_broken_files_are_refused(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    refused(path, reason)


def test_a_claim_of_100_million_points_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "huge.ply"
    path.write_bytes(HUGE)
    tracemalloc.start()
    start = time.perf_counter()
    refused(path, "promises 100000000 of 'vertex'")
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_zero_filled_accessors_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "zeros.glb"
    spec = {"componentType": 5126, "type": "VEC3", "count": 10**9}
    path.write_bytes(edited_glb(GOOD["mesh.glb"], {"accessors.0": spec}))
    refused(path, "impossible count")


def test_nan_in_a_glb_is_named(tmp_path: Path) -> None:
    data = bytearray(GOOD["mesh.glb"])
    start = 20 + struct.unpack_from("<I", data, 12)[0] + 8
    struct.pack_into("<f", data, start + 12, float("nan"))
    path = tmp_path / "nan.glb"
    path.write_bytes(data)
    refused(path, "vertices row 1")


def test_symbolic_links_do_not_lead_out(tmp_path: Path) -> None:
    inside = tmp_path / "models"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"secret")
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "loop.bin").symlink_to(inside / "loop.bin")
    path = inside / "thief.glb"
    for name in ("link.bin", "loop.bin"):
        path.write_bytes(edited_glb(GOOD["mesh.glb"], {"buffers.0.uri": name}))
        refused(path)


@given(st.text(max_size=40))
def test_no_reference_leaves_the_folder(uri: str) -> None:
    owner = Path("models/a.gltf")
    try:
        found = sibling(owner, uri)
    except AssetError:
        return
    assert found.is_relative_to(owner.resolve().parent)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"gone\.glb: cannot be read: it does not exist"):
        assetio.read(tmp_path / "gone.glb")
    with pytest.raises(AssetError, match="is no regular file"):
        assetio.read(tmp_path)


def read_or_reason(path: Path) -> Scene | str:
    """What the file holds, or the text of the AssetError; any other exception is a crash."""
    try:
        return assetio.read(path)
    except AssetError as error:
        return str(error)


@given(st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=150)
def test_cut_files_never_crash_the_reader(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    good = GOOD[name]
    path = tmp_path_factory.mktemp("cut") / name
    path.write_bytes(good[: data.draw(st.integers(0, len(good) - 1))])
    found = read_or_reason(path)
    if isinstance(found, str):
        assert path.name in found
    else:
        assert name.endswith(".obj"), "text without a length can be cut unnoticed; nothing else can"


@given(st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=400)
def test_altered_files_never_crash_the_reader(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    changed = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.sampled_from(list(b'0123456789-{}[],."e \n\xff\0')))
    path = tmp_path_factory.mktemp("altered") / name
    path.write_bytes(changed)
    found = read_or_reason(path)
    if isinstance(found, str):
        assert path.name in found
        return
    if found.mesh is not None:
        assert torch.isfinite(found.mesh.vertices).all()
        assert int(found.mesh.faces.max()) < len(found.mesh.vertices)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")

    def interrupted() -> None:
        with replacing(path, overwrite=True) as part:
            part.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(AssetError, match="No space left on device"):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_places_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AssetError, match="cannot be written"):
        assetio.write(tetrahedron(), tmp_path / "file" / "a.glb")
    (tmp_path / "folder.glb").mkdir()
    with pytest.raises(AssetError, match="is a folder"):
        assetio.write(tetrahedron(), tmp_path / "folder.glb", overwrite=True)


def test_picture_bombs_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(out, format="PNG")
    bomb = bytearray(out.getvalue())
    struct.pack_into(">II", bomb, 16, 60_000, 60_000)
    struct.pack_into(">I", bomb, 29, zlib.crc32(bytes(bomb[12:29])))
    (tmp_path / "t.png").write_bytes(bomb)
    (tmp_path / "t.mtl").write_text("newmtl a\nmap_Kd t.png\n")
    path = tmp_path / "t.obj"
    path.write_text("mtllib t.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl a\nf 1/1 2/1 3/1\n")
    refused(path, "t.png")
