"""Fits of photographs: good on pictures that were kept back, resumed to the bit, exported where the capture lies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from capture_cases import ELSEWHERE, bytes_of, done, fit_config, write_capture, write_png
from sds3d.guidance.base import Views
from sds3d.guidance.reconstruction import EDGE, Reconstruction
from sds3d.representations.edited_splats.model import up_of
from sds3d.representations.raster.gaussians import rasterize_gaussians
from small_run import StopAt

from sds3d import assetio
from sds3d.assetio.capture import read_capture
from sds3d.assetio.original import source_of
from sds3d.assetio.original_splats import open_splats
from sds3d.core.backgrounds import random_backgrounds
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError, ConfigError, RunFolderError, StopRequested
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.pictures import psnr
from sds3d.jobs import configs
from sds3d.jobs.assemble import build_representation
from sds3d.jobs.batch import create_folder
from sds3d.jobs.execute import execute
from sds3d.jobs.export import load_representation
from sds3d.jobs.fitting import Judge, held_out_psnr, judge_of, kept_back, shown
from sds3d.jobs.photographed import cameras_of
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.events import Silent


def from_the_file(folder, capture_folder: Path) -> torch.Tensor:
    """PSNR of the exported file, drawn by the capture's own cameras in the capture's own space."""
    splats = assetio.read(folder.assets()["3dgs"]).splats
    config = folder.config().capture
    back = shown(config, read_capture(capture_folder), kept_back(9, 4)[1])
    frame = config.frame.frame()
    cameras = frame.cameras(back.cameras)
    white = torch.ones(len(cameras), 3)
    drawn = rasterize_gaussians(
        splats.means,
        splats.scales,
        splats.rotations,
        splats.opacities,
        splats.sh,
        cameras,
        back.photos.size,
        white,
        near=0.01 * frame.scale,
    ).rgb
    wanted = back.photos.rgb.float() / 255
    return psnr(drawn.clamp(0, 1), wanted).mean()


@pytest.mark.parametrize("kind", ["nerfstudio", "bin"])
def test_a_fit_learns_and_its_file_lies_in_the_captures_space(tmp_path: Path, kind: str) -> None:
    write_capture(tmp_path / "it", kind, 9, (24, 24), ELSEWHERE)
    before = bytes_of(tmp_path / "it")
    folder = done(fit_config(tmp_path / "it", tmp_path / "runs", capture__holdout=4))
    assert bytes_of(tmp_path / "it") == before, "a capture is never written"
    found = held_out_psnr(folder)
    assert found is not None
    assert found > 17.0
    assert folder.held_out.is_file()
    assert float(from_the_file(folder, tmp_path / "it")) == pytest.approx(found, abs=0.05)
    splats = assetio.read(folder.assets()["3dgs"]).splats
    centre = torch.tensor(ELSEWHERE.centre)
    if kind == "nerfstudio":  # whose files are written with +z up
        centre = torch.stack([centre[0], -centre[2], centre[1]])
    assert float((splats.means.median(0).values - centre).norm()) < ELSEWHERE.scale
    assert float((splats.means - centre).norm(dim=1).max()) > 0.5 * ELSEWHERE.scale
    scene = assetio.read(folder.assets()["3dgs"])
    assert scene.provenance["method"] == "fit"
    # copied away from its run, it is still known how it stands
    copy = tmp_path / "copy.ply"
    copy.write_bytes(folder.assets()["3dgs"].read_bytes())
    assert scene.provenance["up"] == up_of(open_splats(source_of(copy)))
    assert scene.provenance["up"] == ("-z" if kind == "nerfstudio" else "-y")
    frame = folder.config().capture.frame
    assert frame.scale == pytest.approx(ELSEWHERE.scale, rel=1e-3)
    assert frame.centre == pytest.approx(centre.tolist(), abs=1e-3)
    assert not frame.whole, "what is behind is of one colour"


def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", "bin", 9, (16, 16))
    quick = {"optimize__steps": 30, "representation__init__count": 100}
    whole = done(fit_config(tmp_path / "it", tmp_path / "a", **quick))
    parted = create_folder(fit_config(tmp_path / "it", tmp_path / "b", **quick))
    for step in (11, 22):
        with pytest.raises(StopRequested):
            execute(parted, StopAt(step))
    execute(parted)
    a, b = (CheckpointStore(f.checkpoints).latest().hash() for f in (whole, parted))
    assert a == b
    assert whole.assets()["3dgs"].read_bytes() == parted.assets()["3dgs"].read_bytes()
    assert held_out_psnr(whole) == held_out_psnr(parted)


def test_a_capture_that_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=9, size=(16, 16))
    folder = create_folder(fit_config(tmp_path / "it", tmp_path / "runs"))
    with pytest.raises(StopRequested):
        execute(folder, StopAt(3))
    write_png(tmp_path / "it" / "images" / "003.png", torch.rand(3, 16, 16))
    with pytest.raises(AssetError, match="is not the capture that this fit began with"):
        execute(folder)


def test_alpha_and_surroundings_are_told_apart(tmp_path: Path) -> None:
    write_capture(tmp_path / "alpha", count=9, size=(16, 16), alpha=True)
    clear = fit_config(tmp_path / "alpha", tmp_path / "runs")
    assert clear.capture is not None
    assert clear.capture.background == "none"
    write_capture(tmp_path / "room", count=9, size=(16, 16))
    for k in range(9):
        write_png(
            tmp_path / "room" / "images" / f"{k:03d}.png", Streams(k).uniform((3, 16, 16), "room")[0].float()
        )
    room = fit_config(tmp_path / "room", tmp_path / "runs")
    assert room.capture is not None
    assert room.capture.background == (0.0, 0.0, 0.0)
    assert room.capture.frame is not None
    assert room.capture.frame.whole
    assert room.representation.half_extent == 30.0  # type: ignore[attr-defined]
    assert clear.representation.half_extent == 1.5  # type: ignore[attr-defined]


def test_pictures_with_alpha_are_fitted_over_any_background(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=9, size=(24, 24), alpha=True)
    folder = done(fit_config(tmp_path / "it", tmp_path / "runs"))
    scene, _ = load_representation(folder)
    capture = folder.config().capture
    assert capture is not None
    seen = shown(capture, read_capture(tmp_path / "it"), [0, 3])
    backgrounds = random_backgrounds(Streams(3), 0, [0, 1], 0.0)
    target = Reconstruction(seen.photos.rgb, seen.photos.alpha, seen.photos.weight)
    wanted, _ = target.wanted(torch.arange(2), backgrounds)
    with torch.no_grad():
        found = scene.render(Look(seen.cameras, seen.photos.size, backgrounds))["rgb"]
    assert float(psnr(found, wanted).min()) > 16.0


def test_the_step_is_the_gradient_of_its_loss() -> None:
    """Of Huber's loss, over the pixels that count; what is equal asks for nothing."""
    u = Streams(0).uniform((4, 5, 6, 7), "pictures")[0]
    rgb, weight = (255 * u[:, :3]).round().to(torch.uint8), (255 * (u[:, 3:4] > 0.3)).to(torch.uint8)
    alpha = (255 * u[:, 4:]).round().to(torch.uint8)
    guidance = Reconstruction(rgb, alpha, weight)
    ids = torch.tensor([2, 0])
    background = torch.rand(2, 3, generator=torch.Generator().manual_seed(1))
    look = Look(orbit([0.0, 1.0], 0.0, ids=ids), (6, 7), background)
    wanted, counts = guidance.wanted(ids, background)
    x = (wanted + 0.3 * (u[:2, :3].float() - 0.5)).requires_grad_(True)
    away = counts * (x - wanted)
    small = away.abs() <= EDGE
    loss = torch.where(small, 0.5 * away**2, EDGE * (away.abs() - 0.5 * EDGE)).sum() / 2
    loss.backward()

    def asked(shown):
        views = Views(look, {"rgb": shown}, shown, {})
        return guidance.guide(views, 0, Streams(0), {})

    cotangents, state, log = asked(x.detach())
    assert torch.allclose(cotangents["rgb"], x.grad)
    assert state == {}
    assert float(asked(wanted)[0]["rgb"].abs().max()) == 0.0
    assert log["psnr"] > 10


def test_what_is_kept_back() -> None:
    assert kept_back(17, 8) == ([k for k in range(17) if k not in (0, 8, 16)], [0, 8, 16])
    assert kept_back(3, 0) == ([0, 1, 2], [])
    with pytest.raises(ConfigError, match="none is left"):
        kept_back(1, 8)


def test_a_judge_sees_a_perfect_scene(tmp_path: Path) -> None:
    """Its PSNR is that of the pictures that it is shown; a scene that shows the photographs themselves has no error."""
    write_capture(tmp_path / "it", count=9, size=(16, 16))
    capture = fit_config(tmp_path / "it", tmp_path / "runs").capture
    assert capture is not None
    seen = shown(capture, read_capture(tmp_path / "it"), [0, 8])

    class Perfect:
        def render(self, look: Look):
            k = [0, 1][int((seen.cameras.azimuth_deg - look.cameras.azimuth_deg).abs().argmin())]
            return {"rgb": seen.photos.rgb[[k]].float() / 255}

    judge = Judge(Perfect(), seen, torch.device("cpu"), Silent())  # type: ignore[arg-type]
    assert judge.psnr().tolist() == [100.0, 100.0], "no infinity gets into the metrics"
    judge.sheet(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").is_file()


def test_an_unknown_checkpoint_is_refused(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", "nerfstudio", 9, (16, 16))
    folder = done(fit_config(tmp_path / "it", tmp_path / "runs", optimize__steps=2))
    text = folder.config_file.read_text().replace("holdout: 8", "holdout: 4")
    folder.config_file.write_text(text)
    with pytest.raises(RunFolderError, match=r"config\.yaml was changed"):
        execute(folder)


def test_cameras_of_photographs_are_those_that_took_them(tmp_path: Path) -> None:
    cameras = write_capture(tmp_path / "it", "bin", 9, (16, 16), ELSEWHERE)
    found = cameras_of(read_capture(tmp_path / "it").photos, ELSEWHERE, cameras.fov_y_deg)
    assert torch.allclose(found.c2w, cameras.c2w, atol=1e-5)
    turn = torch.remainder(found.azimuth_deg - cameras.azimuth_deg + 180, 360) - 180
    assert float(turn.abs().max()) < 1e-2
    assert torch.allclose(found.elevation_deg, cameras.elevation_deg, atol=1e-2)
    assert torch.allclose(found.distance, cameras.distance, atol=1e-4)


def test_a_picture_that_is_masked_altogether_judges_nothing(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", "bin", 9, (8, 8))
    config = fit_config(tmp_path / "it", tmp_path / "runs")

    def judge():
        scene = build_representation(config)
        return judge_of(config, scene, torch.device("cpu"), Silent())

    assert len(judge().psnr()) == 2
    for name in ("000.png", "008.png"):
        write_png(tmp_path / "it" / "masks" / f"{name}.png", torch.zeros(3, 8, 8))
        config = fit_config(tmp_path / "it", tmp_path / "runs")
        found = judge()
        assert found is None if name == "008.png" else bool(torch.isfinite(found.psnr()).all())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nerfstudio", "bin"])
def test_a_known_object_is_fitted_well(tmp_path: Path, kind: str) -> None:
    """At least 27 dB on pictures that were kept back."""
    write_capture(tmp_path / "it", kind, 40, (96, 96), ELSEWHERE)
    folder = done(
        configs.from_words(
            ["optimize.steps=400"], {"capture.source": str(tmp_path / "it"), "runs": str(tmp_path)}
        )
    )
    found = held_out_psnr(folder)
    assert found is not None
    assert found >= 27.0
