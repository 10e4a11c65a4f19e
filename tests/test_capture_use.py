"""Fits as people ask for them: what a config says and refuses, the command, plans, forks, fits found again, edits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from capture_cases import ELSEWHERE, SMALL, bytes_of, done, fit_config, write_capture, write_png
from edit_cases import CONDITIONS
from small_run import StopAt

from sds3d import assetio
from sds3d.cli import main as cli
from sds3d.core.errors import AssetError, ConfigError, StopRequested
from sds3d.jobs import configs, fits
from sds3d.jobs.batch import create_folder
from sds3d.jobs.execute import execute
from sds3d.jobs.fork import fork
from sds3d.jobs.lint import warnings
from sds3d.jobs.photographed import is_capture, named
from sds3d.jobs.plan import make_plan
from sds3d.jobs.runfolder import RunFolder


def test_a_fits_config_is_read_without_its_capture(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=9, size=(16, 16))
    folder = create_folder(fit_config(tmp_path / "it", tmp_path / "runs"))
    (tmp_path / "it").rename(tmp_path / "gone")
    again = folder.config()
    assert again.capture is not None
    assert again.capture.background == (1.0, 1.0, 1.0)
    moved = again.model_copy(
        update={
            "capture": again.capture.model_copy(update={"file": str(tmp_path / "gone" / "transforms.json")})
        }
    )
    assert configs.hash_of(moved) == configs.hash_of(again), "where it lies does not matter"


def test_a_run_whose_capture_was_moved_says_how_to_go_on(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=9, size=(16, 16))
    quick = {"optimize__steps": 4, "representation__init__count": 50}
    folder = create_folder(fit_config(tmp_path / "it", tmp_path / "runs", **quick))
    with pytest.raises(StopRequested):
        execute(folder, StopAt(2))
    (tmp_path / "it").rename(tmp_path / "moved")
    with pytest.raises(AssetError, match="is not there"):
        execute(folder)
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace(str(tmp_path / "it"), str(tmp_path / "moved")))
    execute(folder)
    assert "3dgs" in folder.assets()


def test_a_fits_config_names_no_prior_that_nobody_asks(tmp_path: Path, capsys) -> None:
    write_capture(tmp_path / "it", count=9, size=(16, 16))
    config = fit_config(tmp_path / "it", tmp_path / "runs")
    folder = create_folder(config)
    sections = {
        line.split(":")[0] for line in folder.config_file.read_text().splitlines() if line[:1].isalpha()
    }
    assert {"capture", "representation", "optimize"} <= sections
    assert not {"prior", "guidance"} & sections
    assert configs.hash_of(folder.config()) == configs.hash_of(config)
    # as runs have it that were made before
    older = yaml.safe_load(folder.config_file.read_text()) | {"prior": {"kind": "embedded"}}
    assert configs.from_mapping(older) == folder.config()
    for given in ({"prior__model": "prior32"}, {"guidance": "csd"}):
        with pytest.raises(ConfigError, match="no say in a fit"):
            create_folder(fit_config(tmp_path / "it", tmp_path / "other", **given))
    with pytest.raises(SystemExit):
        cli.main(["info", str(folder.path), "--json"])
    assert json.loads(capsys.readouterr().out)["guidance"] == "none"


def test_a_fit_is_planned_without_a_model(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=9, size=(8, 8))
    config = fit_config(tmp_path / "it", tmp_path / "runs")
    plan = make_plan(config)
    assert plan.calls == 0
    assert plan.files == {str((tmp_path / "it" / "transforms.json").resolve()): True}
    assert warnings(config) == [], "the guidance that nobody asks is not judged"


def test_a_fork_of_a_fit_goes_on_where_it_stands(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=9, size=(8, 8))
    folder = done(
        fit_config(tmp_path / "it", tmp_path / "runs", optimize__steps=3, representation__init__count=50)
    )
    with pytest.raises(ConfigError, match="capture"):
        fork(folder, ["optimize.steps=5", "capture.front_deg=90"])
    more = fork(folder, ["optimize.steps=5", "capture.holdout=4"])
    execute(more)
    assert more.status().step == 5


def test_names_of_captures(tmp_path: Path) -> None:
    write_capture(tmp_path / "garden", "bin", 2, (8, 8))
    for source in ("garden", "garden/sparse/0", "garden/sparse"):
        assert named(str(tmp_path / source)) == "garden"
        assert is_capture(str(tmp_path / source))
    assert not is_capture(str(tmp_path))


def test_mistakes_are_told_before_anything_is_made(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=2, size=(8, 8))
    runs = tmp_path / "runs"
    with pytest.raises(ConfigError, match="holds no capture") as none:
        fit_config(tmp_path, runs)
    assert "capture.source" in str(none.value)
    with pytest.raises(ConfigError, match="grid fits no photographs"):
        create_folder(fit_config(tmp_path / "it", runs, representation={"kind": "grid"}))
    with pytest.raises(ConfigError, match="config names none"):
        create_folder(
            configs.from_mapping({"prompt": "a cube", "representation": "captured", "runs": str(runs)})
        )
    with pytest.raises(ConfigError, match="holdout"):
        create_folder(fit_config(tmp_path / "it", runs, capture__holdout=1))
    with pytest.raises(ConfigError, match=r"set capture\.size"):
        create_folder(fit_config(tmp_path / "it", runs, optimize__size=32))
    with pytest.raises(ConfigError, match="Did you mean size"):
        fit_config(tmp_path / "it", runs, capture__sise=32)
    with pytest.raises(ConfigError, match="is a capture, which is fitted before"):
        configs.from_mapping({"prompt": "a cube", "edit.source": str(tmp_path / "it"), "runs": str(runs)})
    assert not list(runs.glob("*/config.yaml"))


def test_a_picture_of_another_size_is_told_before_anything_is_made(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=24, size=(8, 8))
    config = fit_config(tmp_path / "it", tmp_path / "runs")
    write_png(tmp_path / "it" / "images" / "001.png", torch.zeros(3, 8, 4))
    with pytest.raises(ConfigError, match=r"001\.png: is 4 x 8 pixels"):
        create_folder(config)
    assert not list((tmp_path / "runs").glob("*"))


def test_cameras_side_by_side_ask_for_a_centre(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=3, size=(8, 8))
    path = tmp_path / "it" / "transforms.json"
    document = json.loads(path.read_text())
    for k, frame in enumerate(document["frames"]):
        frame["transform_matrix"] = [[1, 0, 0, k], [0, 1, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"capture\.centre"):
        fit_config(tmp_path / "it", tmp_path / "runs")
    config = fit_config(
        tmp_path / "it", tmp_path / "runs", capture__centre=[1.0, 0.0, 0.0], capture__radius=2.0
    )
    assert config.capture is not None
    assert config.capture.frame is not None
    assert config.capture.frame.centre == (1.0, 0.0, 0.0)


def test_the_command_tells_how_good_it_is(tmp_path: Path, capsys, monkeypatch) -> None:
    write_capture(tmp_path / "it", count=9, size=(16, 16))
    monkeypatch.chdir(tmp_path)
    words = [f"{k}={json.dumps(v)}" for k, v in SMALL.items()]
    with pytest.raises(SystemExit) as end:
        cli.main(
            [
                "fit",
                "it",
                "--steps",
                "20",
                "--json",
                *[w for w in words if not w.startswith("optimize.steps")],
            ]
        )
    assert end.value.code == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["state"] == "finished"
    assert told["psnr_held_out"] > 10
    with pytest.raises(SystemExit) as end:
        cli.main(["fit", "nowhere"])
    assert end.value.code == 2


def test_an_edit_of_a_capture_fits_it_once(tmp_path: Path, capsys, monkeypatch) -> None:
    """The second edit takes the fit that there is; both come back in the capture's space and look from where it was
    photographed."""
    write_capture(tmp_path / "it", "bin", 9, (16, 16), ELSEWHERE)
    before = bytes_of(tmp_path / "it")
    monkeypatch.chdir(tmp_path)
    prior = json.dumps({"kind": "analytic", "shape": [3, 8, 8], "conditions": CONDITIONS})
    edit = ["edit", "it", "--from", "a red thing", "--to", "a blue thing", "--keep", "shape", "-q"]
    edit += [f"prior={prior}", "optimize.steps=2", "pictures={turntable_frames: 0, contact_views: 2}"]
    quick = {"optimize.steps": 30, "representation.init.count": 200}
    made = done(
        fit_config(tmp_path / "it", tmp_path / "runs", **{k.replace(".", "__"): v for k, v in quick.items()})
    )
    for seed in (0, 1):
        with pytest.raises(SystemExit) as end:
            cli.main([*edit, f"seed={seed}"])
        assert end.value.code == 0
        told = capsys.readouterr().err
        assert made.path.name in told
        assert "is taken for a capture" not in told, "the fit knows how it stands"
    runs = sorted(p.parent for p in (tmp_path / "runs").glob("*/config.yaml"))
    assert len(runs) == 3
    edited = [RunFolder(p) for p in runs if p.name != made.path.name]
    fit = made.config().capture
    assert fit is not None
    for one in edited:
        config = one.config()
        assert config.edit is not None
        assert config.edit.placed == fit.frame
        assert config.cameras.elevation_deg == fit.elevation_deg
        a, b = (assetio.read(f.assets()["3dgs"]).splats for f in (made, one))
        assert torch.equal(a.means, b.means)
        assert not torch.equal(a.sh, b.sh)
    # an edit of the edit stands as that did
    again = configs.from_words(
        [], {"prompt": "a thing", "edit.source": str(edited[0].path), "edit.prompt": "x"}
    )
    assert again.edit is not None
    assert again.edit.placed == fit.frame
    assert again.cameras.elevation_deg == fit.elevation_deg
    assert bytes_of(tmp_path / "it") == before


def test_a_fit_is_known_again_by_its_photographs(tmp_path: Path) -> None:
    write_capture(tmp_path / "it", count=9, size=(16, 16))
    quick = {"optimize__steps": 5, "representation__init__count": 50}
    config = fit_config(tmp_path / "it", tmp_path / "runs", **quick)
    assert fits.latest(config) is None
    stopped = create_folder(config)
    with pytest.raises(StopRequested):
        execute(stopped, StopAt(2))
    found = fits.latest(config)
    assert found is not None
    assert found.path == stopped.path, "it goes on"
    execute(stopped)
    other = fit_config(tmp_path / "it", tmp_path / "runs", capture__size=16, seed=5, **quick)
    assert fits.latest(other) is not None
    assert fits.latest(other, exact=True) is None
    write_png(tmp_path / "it" / "images" / "003.png", torch.rand(3, 16, 16))
    assert fits.latest(fit_config(tmp_path / "it", tmp_path / "runs", **quick)) is None
