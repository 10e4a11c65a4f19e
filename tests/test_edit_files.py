"""Files that are edited: what was not changed comes back byte for byte, and what was changed reads back."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from edit_cases import (
    accessor,
    glb_parts,
    image,
    mesh_file,
    some_splats,
    splat_file,
    two_part_glb,
    with_columns,
)
from PIL import Image

from sds3d import assetio
from sds3d.assetio.original import sort_of, source_of
from sds3d.assetio.original_mesh import Changes, open_mesh
from sds3d.assetio.original_splats import open_splats
from sds3d.core.errors import AssetError
from sds3d.core.raw_splats import RawSplats


def open_scene(path):
    source = source_of(path)
    return (open_splats if sort_of(source).form == "splats" else open_mesh)(source)


def changed(columns: RawSplats, **values) -> RawSplats:
    return RawSplats(**(columns.named() | values))


@pytest.mark.parametrize("kind", ["3dgs", "splat", "glb", "ply"])
def test_nothing_edited_nothing_changed(tmp_path, kind):
    """Import and export of an unedited file: the same bytes."""
    path = (splat_file if kind in ("3dgs", "splat") else mesh_file)(tmp_path, kind)
    file = open_scene(path)
    assert file.kind == kind
    same = file.columns if hasattr(file, "columns") else Changes(dict(enumerate(file.points)))
    assert file.patched(same) == path.read_bytes()


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_only_changed_numbers_of_a_ply_are_written(tmp_path, degree):
    """Columns that nobody here knows stay, and so do rows and columns that did not change, bit for bit."""
    path = with_columns(splat_file(tmp_path, degree=degree), ("label", "confidence"))
    file = open_splats(source_of(path))
    dc = file.columns.sh_dc.clone()
    dc[7, 1] += 0.5
    new = file.patched(changed(file.columns, sh_dc=dc))
    old = path.read_bytes()
    different = [k for k, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    assert 0 < len(different) <= 4
    assert max(different) - min(different) < 4
    read = assetio.read(_written(tmp_path, "again.ply", new)).splats
    assert torch.equal(read.sh[7, 0], dc[7])


def test_a_big_endian_ply_stays_one(tmp_path):
    path = splat_file(tmp_path, degree=0)
    head, _, body = path.read_bytes().partition(b"end_header\n")
    swapped = np.frombuffer(body, "<f4").astype(">f4").tobytes()
    path.write_bytes(head.replace(b"little", b"big") + b"end_header\n" + swapped)
    file = open_splats(source_of(path))
    means = file.columns.means.clone()
    means[3] = torch.tensor([1.0, 2.0, 3.0])
    new = file.patched(changed(file.columns, means=means))
    assert b"big_endian" in new
    assert torch.equal(assetio.read(_written(tmp_path, "again.ply", new)).splats.means, means)


def test_quantised_splats_change_where_they_were_edited(tmp_path):
    path = splat_file(tmp_path, "splat")
    file = open_splats(source_of(path))
    dc = file.columns.sh_dc.clone()
    dc[5] = torch.tensor([-1.0, 0.0, 1.0])
    new = file.patched(changed(file.columns, sh_dc=dc))
    rows = np.frombuffer(path.read_bytes(), "u1").reshape(-1, 32), np.frombuffer(new, "u1").reshape(-1, 32)
    assert np.nonzero((rows[0] != rows[1]).any(1))[0].tolist() == [5]
    assert (rows[0] == rows[1])[5, [*range(24), *range(27, 32)]].all()


@pytest.mark.parametrize("kind", ["spz", "compressed"])
def test_packed_splats_come_back_as_plain_ones(tmp_path, kind):
    file = open_splats(source_of(splat_file(tmp_path, kind)))
    assert file.kind == "3dgs"
    assert "3DGS PLY" in file.notes[0]
    read = assetio.read(_written(tmp_path, "plain.ply", file.patched(file.columns))).splats
    wanted = assetio.read(file.source.path).splats
    torch.testing.assert_close(read.sh, wanted.sh)
    torch.testing.assert_close(read.scales, wanted.scales, rtol=1e-5, atol=0)


def test_a_repainted_glb_keeps_all_but_its_picture(tmp_path):
    path = two_part_glb(tmp_path)
    file = open_mesh(source_of(path))
    assert [(p.name, p.material, p.texture) for p in file.parts] == [
        ("left", "painted", 0),
        ("right", "plain", None),
    ]
    texture = file.textures[0].clone()
    texture[:, 2, 3] = torch.tensor([1.0, 0.0, 0.5])
    old, new = path.read_bytes(), file.patched(Changes(textures={0: texture}))
    assert all(accessor(old, k) == accessor(new, k) for k in range(3))
    a, b = glb_parts(old)[0], glb_parts(new)[0]
    for key in ("asset", "nodes", "scenes", "meshes", "materials", "textures", "accessors"):
        assert a[key] == b[key]
    before, after = (np.array(Image.open(io.BytesIO(image(d)))) for d in (old, new))
    assert after[2, 3].tolist() == [255, 0, 128, before[2, 3, 3]]
    assert ((before != after).any(2)).sum() == 1


def test_a_recoloured_part_keeps_the_others(tmp_path):
    path = two_part_glb(tmp_path)
    file = open_mesh(source_of(path))
    colors = file.parts[1].colors.clone()
    colors[2] = torch.tensor([0.0, 0.0, 1.0])
    old, new = path.read_bytes(), file.patched(Changes(colors={1: colors}))
    a, b = glb_parts(old)[0], glb_parts(new)[0]
    assert all(accessor(old, k) == accessor(new, k) for k in range(3))
    assert image(old) == image(new)
    assert b["materials"][:2] == a["materials"]
    assert b["meshes"][0] == a["meshes"][0]
    assert b["nodes"] == a["nodes"]
    read = open_mesh(source_of(_written(tmp_path, "again.glb", new)))
    torch.testing.assert_close(read.parts[1].colors, colors, atol=1 / 255, rtol=0)


def test_moved_vertices_move_in_their_own_node(tmp_path):
    path = two_part_glb(tmp_path)
    file = open_mesh(source_of(path))
    points = file.points[0].clone()
    points[3] = torch.tensor([0.0, 0.0, 2.0])
    new = file.patched(Changes(points={0: points}))
    rows = np.frombuffer(accessor(new, 0), "<f4").reshape(-1, 3)
    assert (rows == points.numpy()).all()
    document = glb_parts(new)[0]
    assert document["accessors"][0]["max"] == [1.0, 1.0, 2.0]
    assert accessor(new, 1) == accessor(path.read_bytes(), 1)


def test_files_beside_a_gltf_come_along(tmp_path):
    document, body = glb_parts(two_part_glb(tmp_path).read_bytes())
    import json

    view = document["bufferViews"][3]
    (tmp_path / "picture.png").write_bytes(body[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
    (tmp_path / "data.bin").write_bytes(body)
    document["images"] = [{"uri": "picture.png"}]
    document["buffers"][0]["uri"] = "data.bin"
    path = tmp_path / "two.gltf"
    path.write_text(json.dumps(document))
    file = open_mesh(source_of(path))
    new = file.patched(Changes())
    assert image(new) == (tmp_path / "picture.png").read_bytes()
    assert "one GLB" in file.notes[0]
    read = assetio.read(_written(tmp_path, "whole.glb", new)).mesh
    torch.testing.assert_close(read.vertices, assetio.read(path).mesh.vertices)


def test_a_ply_mesh_keeps_what_it_has(tmp_path):
    path = mesh_file(tmp_path, "ply", textured=False)
    file = open_mesh(source_of(path))
    colors = file.parts[0].colors.clone()
    colors[4] = torch.tensor([0.0, 1.0, 0.0])
    new = file.patched(Changes(colors={0: colors}))
    old = path.read_bytes()
    assert len(new) == len(old)
    assert sum(a != b for a, b in zip(old, new, strict=True)) <= 3


def test_a_file_that_was_changed_is_another(tmp_path):
    path = splat_file(tmp_path)
    known = source_of(path).sha256
    assetio.write(some_splats(seed=1), path, "3dgs", overwrite=True)
    with pytest.raises(AssetError, match="not the file that this edit began with"):
        source_of(path, known)


def _written(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path
