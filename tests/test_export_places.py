"""Camera files of assets that lie in a space of their own: they stand where the asset's own file does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from capture_cases import ELSEWHERE, done, fit_config, write_capture
from edit_cases import edit_config, some_splats, two_part_glb
from sds3d.representations import edited_mesh, edited_splats
from sds3d.representations.captured.moved import moved_splats
from sds3d.representations.edited import SceneEdit

from sds3d import assetio
from sds3d.assetio.capture import Capture, read_capture
from sds3d.assetio.capture_photos import load_photos
from sds3d.cli import main as cli
from sds3d.core.frame import Frame
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.jobs.photographed import cameras_of

MOST_SIDE = 48
"""Pixels of the pictures that are compared."""
WORDS = ("colmap", "nerfstudio")


def placed_splats(folder: Path) -> Path:
    """Gaussians far from our world, turned and 3.5 times as large."""
    path = folder / "far.ply"
    assetio.write(moved_splats(some_splats(), ELSEWHERE), path, "3dgs")
    return path


def command(*words: str) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as end:
        cli.main([*words])
    return int(end.value.code or 0)


def off(capture: Capture, file: Path) -> float:
    """Mean difference of some pictures of a capture from what its cameras see of a file, in the file's own space."""
    some = list(capture.photos[::7])
    side = min(some[0].lens.width, MOST_SIDE)
    photos = load_photos(some, (side, side))
    module = edited_mesh if file.suffix == ".glb" else edited_splats
    # neither centred nor turned: our world is the file's space
    scene = module.create(module.Options(), Streams(0), SceneEdit(file=str(file), fit=False, up="+y"))
    cameras = cameras_of(some, Frame(), photos.fov_y_deg)
    seen = scene.render(Look(cameras, photos.size, torch.ones(len(some), 3)))["rgb"].detach()
    shown = photos.rgb.float() / 255
    assert float((shown < 0.9).float().mean()) > 0.02, "something is to be seen"
    return float((seen.clamp(0, 1) - shown).abs().mean())


@pytest.mark.parametrize(
    ("what", "kind"), [("splats", "colmap"), ("splats", "nerfstudio"), ("mesh", "colmap")]
)
def test_a_file_of_no_run_is_exported_with_cameras_in_its_own_space(tmp_path, capsys, caplog, what, kind):
    file = placed_splats(tmp_path) if what == "splats" else two_part_glb(tmp_path)
    before = file.read_bytes()
    assert command("export", str(file), "--to", kind) == 0
    folder = tmp_path / f"{file.stem}_{kind}"
    assert capsys.readouterr().out.split() == [str(folder)]
    assert ("--up +y says otherwise" in caplog.text) == (what == "splats"), "what was guessed is told"
    assert file.read_bytes() == before
    capture = read_capture(folder)
    assert len(capture.photos) == 36
    assert off(capture, file) < 0.01
    if kind == "colmap":
        scene = assetio.read(file)
        points = scene.splats.means if what == "splats" else scene.mesh.vertices
        assert capture.points is not None
        assert torch.allclose(capture.points.points, points, atol=1e-4)


@pytest.mark.parametrize("what", ["fit", "edit"])
def test_a_runs_views_stand_where_its_asset_lies(tmp_path, what):
    """Splats without a mesh of their own, of a capture or a file that is turned, moved and larger."""
    if what == "fit":
        write_capture(tmp_path / "capture", frame=ELSEWHERE)
        folder = done(fit_config(tmp_path / "capture", tmp_path / "runs"))
    else:
        folder = done(edit_config(tmp_path / "runs", placed_splats(tmp_path)))
    assert command("export", str(folder.path), "--to", "colmap,nerfstudio,3dgs") == 0
    for kind in WORDS:
        assert off(read_capture(folder.path / f"asset_{kind}"), folder.path / "asset.3dgs.ply") < 0.01


def test_a_file_is_converted_and_never_replaced(tmp_path, capsys):
    file = two_part_glb(tmp_path)
    before = file.read_bytes()
    out = tmp_path / "out"
    assert command("export", str(file), "--to", "obj,glb", "--shading", "unlit", "--out", str(out)) == 0
    again = assetio.read(out / "two.obj").mesh
    found = assetio.read(file).mesh
    assert torch.allclose(again.vertices, found.vertices, atol=1e-5)
    # what is asked of the mesh holds for its own format too
    assert assetio.read(out / "two.glb").mesh.material is None
    assert command("export", str(file), "--to", "glb", "--out", str(out / "plain")) == 0
    assert (out / "plain" / "two.glb").read_bytes() == before
    for words, told in (
        (["--to", "glb"], "exists already"),
        (["--to", "glb", "--out", str(tmp_path), "--overwrite"], "Take another folder"),
        (["--to", "spz"], "two.glb holds no splats. It is written as glb"),
        ([], "--to colmap"),
    ):
        assert command("export", str(file), *words) in (1, 2)
        assert told in " ".join(capsys.readouterr().err.split())
    assert file.read_bytes() == before
