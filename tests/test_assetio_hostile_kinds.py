"""Broken splats, prints, stages and packages; references and claims that only some kinds of files can make."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from assetio_cases import two_splats
from hostile_cases import GOOD, edited_glb, refused

from sds3d import assetio
from sds3d.assetio.image_bytes import encode_png
from sds3d.assetio.ply_compressed import encode_compressed
from sds3d.assetio.ply_format import build_ply, parse_ply
from sds3d.assetio.splat import encode_splat
from sds3d.assetio.usdz import pack as usdz_pack


def gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def spz(
    count: int, degree: int = 0, bits: int = 12, flags: int = 0, body: bytes = b"", version: int = 3
) -> bytes:
    return gzipped(struct.pack("<IIIBBBB", 0x5053474E, version, count, degree, bits, flags, 0) + body)


SPLAT = encode_splat(two_splats())
STL_HEAD = b"x".ljust(80, b"\0")
USDA = (
    b'#usda 1.0\ndef Mesh "M" {\nint[] faceVertexCounts = [3]\nint[] faceVertexIndices = [0, 1, 2]\n%s\n}\n'
)
POINTS = b"point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0)]"

BROKEN_TOO = [
    ("short.splat", SPLAT[:-1], "cut off"),
    ("scale.splat", SPLAT[:12] + b"\0" * 4 + SPLAT[16:], "above 0"),
    ("nan.splat", SPLAT[:4] + b"\0\0\xc0\x7f" + SPLAT[8:], "finite"),
    ("empty.splat", b"", "cut off"),
    ("magic.spz", gzipped(b"NOPE" + bytes(40)), "version"),
    ("four.spz", b"NGSP" + bytes(40), "version 0"),
    ("future.spz", spz(1, version=9, body=bytes(99)), "version 9"),
    ("short.spz", spz(2, body=bytes(30)), "cut off"),
    ("torn.spz", spz(2, body=bytes(40))[:-9], "cut off"),
    ("broken.spz", b"\x1f\x8b" + bytes(40), "gzip"),
    ("degree.spz", spz(1, degree=7, body=bytes(999)), "degree 7"),
    ("none.spz", spz(0), "0 splats"),
    ("extended.spz", spz(1, flags=2, body=bytes(99)), "flags 2"),
    ("hundred_million.spz", spz(100_000_000), "100000000"),
    ("ten_million.spz", spz(10_000_000), "made to harm"),
    ("count.stl", STL_HEAD + struct.pack("<I", 2**32 - 1) + bytes(50), "promises 4294967295"),
    ("none.stl", STL_HEAD + bytes(4), "no triangles"),
    ("nan.stl", STL_HEAD + struct.pack("<I", 1) + struct.pack("<12fH", *[float("nan")] * 12, 0), "finite"),
    ("word.stl", b"solid a\nfacet\nvertex 0 0 x\nvertex 0 0 0\nvertex 0 0 0\nendfacet\n", "no number"),
    ("half.stl", b"solid a\nfacet\nvertex 0 0 0\nvertex 0 0 0\nendfacet\n", "three vertices"),
    ("zip.usdz", b"PK\3\4" + bytes(40), "broken USDZ"),
    ("index.usda", USDA % POINTS.replace(b", (0, 1, 0)", b""), "names vertex 2 of 2"),
    ("nan.usda", USDA % POINTS.replace(b"1, 0, 0", b"nan, 0, 0"), "finite"),
    ("text.usda", USDA % POINTS.replace(b"(1, 0, 0)", b'"x"'), "no number"),
    ("width.usda", USDA % b"point3f[] points = [1, 2, 3, 4]", "3 a row"),
    ("quote.usda", USDA % b'string a = "open', "line 5"),
    ("brace.usda", b'#usda 1.0\ndef Mesh "M" {\n', "line 3"),
    ("deep.usda", b"#usda 1.0\n" + b'def "a" {' * 5000, "deeper than"),
    ("nested.usda", b'#usda 1.0\ndef "a" { int x = ' + b"[" * 100_000, "deeper than"),
    ("comments.usda", b"#usda 1.0\n" + b"#" * 100_000 + b"\n$", "unexpected"),
    ("slash.usda", USDA.replace(b'"M"', b'"M/../N"') % POINTS, "no name of a prim"),
    ("nothing.usda", b"#usda 1.0\n", "no mesh"),
    ("rows.usda", USDA % (POINTS + b"\nnormal3f[] normals = [(0, 0, 1)]"), "do not fit"),
    ("turn.usda", USDA % (POINTS + b'\nuniform token[] xformOpOrder = ["xformOp:spin"]'), "nowhere defined"),
    ("nameless.usdz", usdz_pack({"a.usda": b"#usda 1.0"}).replace(b"a.usda", b"\0.usda"), "no USD layer"),
    ("layerless.usdz", usdz_pack({"a.txt": b"x"}), "no USD layer"),
]


@pytest.mark.parametrize(("name", "data", "reason"), BROKEN_TOO, ids=[b[0] for b in BROKEN_TOO])
def test_broken_splats_prints_and_stages_are_refused(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    refused(path, reason)


def test_a_package_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.usdz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.usda", b"#usda 1.0\n" + b" " * 50_000_000)
    tracemalloc.start()
    refused(path, "larger than itself")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "target", ["../secret.png", "/etc/hostname", "file:///etc/hostname", "https://a.b/c.png"]
)
def test_pictures_outside_the_folder_are_not_opened(tmp_path: Path, target: str) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(encode_png(torch.zeros(3, 1, 1)))
    look = (
        b'\nrel material:binding = </L>\n}\ndef Material "L" {\n'
        b"token outputs:surface.connect = </L/S.outputs:surface>\n"
        b'def Shader "S" {\nuniform token info:id = "UsdPreviewSurface"\n'
        b"color3f inputs:diffuseColor.connect = </L/T.outputs:rgb>\n}\n"
        b'def Shader "T" {\nuniform token info:id = "UsdUVTexture"\nasset inputs:file = @%s@\n}'
    )
    (inside / "a.usda").write_bytes(USDA % (POINTS + look % target.encode()))
    refused(inside / "a.usda", "beside it")
    (inside / "a.mtl").write_bytes(b"newmtl m\nPr 0.5\nmap_Pr %s\n" % target.encode())
    (inside / "a.obj").write_bytes(
        b"mtllib a.mtl\nusemtl m\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n"
    )
    refused(inside / "a.obj", "beside it")


def test_an_obj_without_its_materials_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_bytes(b"mtllib gone.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nusemtl b\nf 3 2 1\n")
    scene = assetio.read(path)
    assert scene.mesh is not None
    assert len(scene.mesh.faces) == 2
    assert scene.notes == ("the material file 'gone.mtl' is missing",)


def test_a_mesh_shown_again_and_again_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty nodes show one mesh: a few bytes for each hundred thousand triangles."""
    monkeypatch.setattr("sds3d.assetio.gltf_read.MAX_ELEMENTS", 100_000)
    path = tmp_path / "many.glb"
    document = {
        "accessors.2": {"componentType": 5121, "type": "SCALAR", "count": 9000},
        "nodes": [{"mesh": 0}] * 50,
        "scenes.0.nodes": list(range(50)),
    }
    path.write_bytes(edited_glb(GOOD["mesh.glb"], document))
    refused(path, "shows more than")


def test_integers_beyond_every_float_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.glb"
    path.write_bytes(edited_glb(GOOD["mesh.glb"], {"nodes.0.translation": [10**400, 0, 0]}))
    refused(path, "3 finite numbers")


@pytest.mark.parametrize("rest", [1, 8, 44])
def test_compressed_splats_with_wrong_harmonics_are_refused(tmp_path: Path, rest: int) -> None:
    sh = np.zeros(2, dtype=[(f"f_rest_{i}", "u1") for i in range(rest)])
    tables = parse_ply(encode_compressed(replace(two_splats(), sh=two_splats().sh[:, :1])), Path("x"))
    packed = [
        (name, np.rec.fromarrays(list(table.columns.values()), names=list(table.columns)))
        for name, table in tables.items()
    ]
    path = tmp_path / "a.compressed.ply"
    path.write_bytes(build_ply([*packed, ("sh", sh)]))
    refused(path, f"{rest} harmonics")
    path.write_bytes(build_ply(packed[1:]))
    refused(path, "without a chunk")
