"""Every kind of file of one small run: written, read back, with its provenance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from small_run import small_config, small_folder

from sds3d import assetio
from sds3d.assetio.cameras_colmap import read_colmap
from sds3d.assetio.cameras_nerfstudio import read_nerfstudio
from sds3d.assetio.describe import describe_colmap
from sds3d.core.errors import AssetError, ConfigError
from sds3d.jobs.assemble import build_representation
from sds3d.jobs.execute import execute
from sds3d.jobs.export import FORMS, wanted, write_assets
from sds3d.jobs.provenance import origin
from sds3d.jobs.schema import BakingOptions, PictureOptions

SMALL_PICTURES = PictureOptions(turntable_frames=4, turntable_size=32, contact_size=16)
KINDS = {
    "gaussians": [k for k, form in FORMS.items() if form not in ("picture", "sound")],
    "image": ["png", "jpg"],
}
CHANGES = {
    "gaussians": {"kind": "gaussians", "init": {"count": 60}, "mesh_resolution": 16, "sh_degree": 1},
    "image": {"kind": "image", "size": 8},
}


@pytest.mark.parametrize("representation", ["gaussians", "image"])
def test_every_kind_is_written_and_read_back(tmp_path: Path, representation: str) -> None:
    config = small_config(tmp_path, representation=CHANGES[representation])
    facts = {"prior": {"name": "p", "licence": "L", "weights": {"a": "12"}}, "versions": {"sds3d": "1"}}
    told = origin(config, facts)
    assert told["prompt"] == "a colour"
    assert {"method", "seed", "model", "model_sha256", "licence", "representation"} <= set(told)
    model = build_representation(config)
    kinds = KINDS[representation]
    assert wanted(kinds, config.representation) == tuple(kinds)
    files = write_assets(model, kinds, tmp_path / "out" / "a", "n", pictures=SMALL_PICTURES, origin=told)
    for kind in kinds:
        path = tmp_path / "out" / f"a{assetio.KINDS.get(kind, '')}"
        if FORMS[kind] == "views":
            continue
        assert path in files
        scene = assetio.read(path)
        held = {"mesh": scene.mesh, "splats": scene.splats, "picture": scene.picture}[FORMS[kind]]
        assert held is not None
        assert dict(scene.provenance) == ({} if kind in ("stl", "splat", "spz", "jpg") else told), kind
    if representation == "image":
        with pytest.raises(ConfigError, match="no views"):
            wanted(["gif"], config.representation)
        return
    with Image.open(tmp_path / "out" / "a.gif") as film:
        assert (film.size, getattr(film, "n_frames", 1), film.info["loop"]) == ((32, 32), 2, 0)
    shots = read_nerfstudio(tmp_path / "out" / "a_nerfstudio" / "transforms.json")
    again, points = read_colmap(tmp_path / "out" / "a_colmap" / "sparse" / "0")
    assert len(shots.names) == len(again.names) == 36
    assert points is not None
    told_of = assetio.describe(tmp_path / "out" / "a_nerfstudio" / "transforms.json")["cameras"]
    assert told_of == describe_colmap(tmp_path / "out" / "a_colmap" / "sparse" / "0")["cameras"] | {
        "first": "images/000.png"
    }
    for name in shots.names:
        assert assetio.read(tmp_path / "out" / "a_nerfstudio" / name).provenance == told
    with pytest.raises(AssetError, match="exists already"):
        write_assets(model, ["nerfstudio"], tmp_path / "out" / "a", "n", pictures=SMALL_PICTURES)


def test_a_run_bakes_its_texture_and_tells_where_it_comes_from(tmp_path: Path) -> None:
    pytest.importorskip("xatlas")
    folder = small_folder(tmp_path, baking={"texture": 64, "faces": 200}, export=["glb", "usdz"])
    execute(folder)
    for kind in ("glb", "usdz"):
        scene = assetio.read(folder.path / f"asset.{kind}")
        assert scene.mesh is not None
        assert scene.mesh.texture is not None
        assert scene.mesh.texture.shape == (3, 64, 64)
        assert len(scene.mesh.faces) <= 220
        assert scene.provenance["prompt"] == "a colour"
        assert scene.provenance["seed"] == "0"


def test_baking_is_off_unless_asked_for() -> None:
    assert BakingOptions().texture == 0
    assert BakingOptions().shading == "auto"


@pytest.mark.parametrize(
    ("kind", "own", "shading", "lit"),
    [
        ("grid", "pbr", "auto", False),
        ("grid", "pbr", "lit", True),
        ("mesh", "pbr", "auto", True),
        ("mesh", "pbr", "unlit", False),
        ("mesh", "unlit", "auto", False),
        ("mesh", "unlit", "lit", True),
    ],
)
def test_viewers_light_a_mesh_as_asked(tmp_path: Path, kind: str, own: str, shading: str, lit: bool) -> None:
    text = {"grid": {"resolutions": [8]}, "mesh": {"shape": "cube", "texture_size": 32, "shading": own}}[kind]
    model = build_representation(small_config(tmp_path, representation={"kind": kind, **text}))
    write_assets(model, ["glb", "usdz"], tmp_path / "a", "n", baking=BakingOptions(shading=shading))
    data = (tmp_path / "a.glb").read_bytes()
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    # Khronos: a fallback is there, so the extension is used and not required
    assert document.get("extensionsUsed", []) == ([] if lit else ["KHR_materials_unlit"])
    assert "extensionsRequired" not in document
    assert ("KHR_materials_unlit" in document["materials"][0].get("extensions", {})) == (not lit)
    for suffix in ("glb", "usdz"):
        mesh = assetio.read(tmp_path / f"a.{suffix}").mesh
        assert mesh is not None
        assert (mesh.material is not None) == lit, suffix
