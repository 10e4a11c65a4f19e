"""Files that optional packages unpack: SPZ of version 4 (zstandard) and Draco-compressed glTF (DracoPy)."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from assetio_cases import two_splats

from sds3d.assetio.gltf_read import decode_gltf
from sds3d.assetio.gltf_write import encode_glb
from sds3d.assetio.spz import decode_spz, encode_spz
from sds3d.core.errors import AssetError, MissingPackageError

pytest.importorskip("zstandard")
pytest.importorskip("DracoPy")

import DracoPy
import zstandard
from packed_cases import draco_glb, painted, spz4

HERE = Path("file")


@pytest.mark.parametrize("sized", [True, False])
def test_spz_4_holds_what_version_3_holds(sized: bool) -> None:
    splats = replace(two_splats(), sh=two_splats().sh[:, :1])
    expected = decode_spz(encode_spz(splats), HERE)
    camera = struct.pack("<II3f", 0xADBE0002, 12, 0.0, 1.0, 2.0)
    axes = struct.pack("<III", 0xADBE0003, 4, 4)
    for extensions in (b"", camera, axes, camera + axes):
        found = decode_spz(spz4(extensions=extensions, sized=sized), HERE)
        for name in ("means", "scales", "rotations", "opacities", "sh"):
            assert torch.equal(getattr(found, name), getattr(expected, name)), name


def swap(rows: list, streams: list) -> None:
    rows[0], rows[1] = rows[1], rows[0]


def bomb(rows: list, streams: list) -> None:
    streams[0] = zstandard.ZstdCompressor().compress(bytes(1 << 26))
    rows[0] = [len(streams[0]), rows[0][1]]


def junk(rows: list, streams: list) -> None:
    streams[0] = b"x" * len(streams[0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (spz4()[:20], "cut off"),
        (spz4()[:-1], "does not fit"),
        (spz4() + b"x", "does not fit"),
        (spz4(swap), "does not fit"),
        (spz4(bomb), "does not hold the 18"),
        (spz4(junk), "zstd stream is broken"),
        (spz4(version=5), "version 5"),
        (spz4(table=9), "cut off"),
        (spz4(table=1 << 31), "cut off"),
        (spz4(count=10_000_000), "made to harm"),
        (spz4(count=0), "0 splats"),
        (spz4(degree=9), "degree 9"),
        (spz4(degree=1), "does not fit"),
        (spz4(extensions=struct.pack("<II", 0xADBE0001, 0)), "harmonics on a scale"),
        (spz4(extensions=struct.pack("<III", 0xADBE0003, 4, 6)), "axes of its own"),
        (spz4(extensions=struct.pack("<III", 7, 99, 6)), "beyond its place"),
    ],
)
def test_a_broken_spz_4_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(AssetError, match=words):
        decode_spz(data, HERE)


def test_a_draco_compressed_mesh_is_the_plain_one() -> None:
    expected = decode_gltf(encode_glb(painted()), HERE).mesh
    found = decode_gltf(draco_glb(painted()), HERE).mesh
    assert expected is not None
    assert found is not None
    assert torch.equal(found.faces, expected.faces)
    for name, margin in (("vertices", 1e-5), ("normals", 1e-3), ("uv", 1e-5), ("colors", 0.03)):
        assert torch.allclose(getattr(found, name), getattr(expected, name), atol=margin), name


def test_where_the_values_are_there_plainly_nothing_is_unpacked(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    plain = encode_glb(painted())
    size = struct.unpack_from("<I", plain, 12)[0]
    document = json.loads(plain[20 : 20 + size])
    names = {"bufferView": 0, "attributes": {"POSITION": 0}}
    document["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": names}
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = plain[20 + size :]
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    found = decode_gltf(head + struct.pack("<I4s", len(text), b"JSON") + text + rest, HERE).mesh
    assert found is not None
    assert torch.equal(found.vertices, painted().vertices)


def set_key(*keys, value):
    def edit(document) -> None:
        at = document
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return edit


PRIMITIVE = ("meshes", 0, "primitives", 0)
DRACO = (*PRIMITIVE, "extensions", "KHR_draco_mesh_compression")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (set_key(*PRIMITIVE, "mode", value=5), "strips"),
        (set_key(*DRACO, "bufferView", value=7), "bufferViews number 7"),
        (set_key(*DRACO, "attributes", value={"POSITION": 99}), "no attribute 99"),
        (set_key(*DRACO, "attributes", value={"TANGENT": 40}), "for TANGENT"),
        (set_key("accessors", 0, "count", value=3), "unpacked, there are"),
        (set_key("bufferViews", 0, "byteLength", value=40), "cannot be unpacked"),
    ],
)
def test_a_broken_draco_mesh_is_refused(edit, words: str) -> None:
    with pytest.raises(AssetError, match=words):
        decode_gltf(draco_glb(painted(), edit), HERE)


def test_points_are_no_mesh() -> None:
    data = draco_glb(painted())
    cloud = DracoPy.encode(painted().vertices.numpy())
    start = data.index(b"DRACO")
    with pytest.raises(AssetError, match=r"points, not a mesh|cannot be unpacked"):
        decode_gltf(data[:start] + cloud.ljust(len(data) - start, b"\0"), HERE)


@pytest.mark.parametrize(
    ("package", "read", "data"),
    [("zstandard", decode_spz, spz4()), ("DracoPy", decode_gltf, draco_glb(painted()))],
)
def test_without_the_packages_the_error_says_what_to_install(monkeypatch, package, read, data) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sds3d\[formats\]'"):
        read(data, HERE)
