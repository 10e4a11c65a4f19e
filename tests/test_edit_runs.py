"""Edits as runs: fixed points, resuming, regions and what is kept to the byte, strength, history, the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from edit_cases import (
    CONDITIONS,
    accessor,
    edit_config,
    glb_parts,
    mesh_file,
    splat_file,
    two_part_glb,
)
from small_run import SMALL, StopAt

from sds3d import assetio
from sds3d.assetio.original import source_of
from sds3d.assetio.original_splats import open_splats
from sds3d.cli import main as cli
from sds3d.core.assets import Splats
from sds3d.core.errors import AssetError, ConfigError, RunFolderError, StopRequested
from sds3d.jobs import configs, history
from sds3d.jobs.batch import check_choices, create_folder
from sds3d.jobs.execute import execute
from sds3d.jobs.export import load_representation
from sds3d.jobs.runfolder import RunFolder
from sds3d.optimize.checkpoint import CheckpointStore

SAME = {"y": {"mean": 0.2}, "null": {}, "src": {"mean": 0.2}}


def done(config):
    """The folder of an edit that has been carried out."""
    folder = create_folder(config)
    execute(folder)
    return folder


def asset(folder) -> bytes:
    return next(iter(folder.assets().values())).read_bytes()


def cubes(tmp_path):
    return {"splats": splat_file(tmp_path), "mesh": mesh_file(tmp_path), "parts": two_part_glb(tmp_path)}


@pytest.mark.parametrize("kind", ["splats", "mesh", "parts"])
def test_words_that_mean_the_same_change_nothing(tmp_path, kind):
    """DDS of a prior for which target and source are one: the file comes back byte for byte, whatever may change."""
    file = cubes(tmp_path)[kind]
    prior = {"kind": "analytic", "shape": [3, 8, 8], "conditions": SAME}
    folder = done(edit_config(tmp_path / "runs", file, prior=prior, optimize__steps=2))
    assert asset(folder) == file.read_bytes()
    assert folder.before_after.is_file()
    assert folder.config().edit.sha256 == source_of(file).sha256


def test_strength_nothing_changes_nothing(tmp_path):
    file = splat_file(tmp_path)
    folder = done(edit_config(tmp_path / "runs", file, edit__strength=0.0, optimize__steps=2))
    assert asset(folder) == file.read_bytes()


def test_one_colour_goes_where_the_closed_form_says(tmp_path):
    """Of a Gaussian prior DDS ends at z_src + s (mu_tgt - mu_src); here of one splat that fills every view."""
    path = tmp_path / "wall.ply"
    start = torch.tensor([0.2, 0.5, 0.4])
    wall = Splats(
        torch.zeros(1, 3),
        torch.full((1, 3), 30.0),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.tensor([0.9999]),
        ((start - 0.5) / 0.28209479177387814)[None, None],
    )
    assetio.write(wall, path, "3dgs")
    law = {"y": {"mean": 0.3, "std": 0.5}, "null": {"std": 0.5}, "src": {"mean": 0.1, "std": 0.5}}
    config = edit_config(
        tmp_path / "runs",
        path,
        edit__fit=False,
        edit__keep="shape",
        guidance={"method": "dds", "cfg_scale": 2.0},
        prior={"kind": "analytic", "shape": [3, 8, 8], "conditions": law},
        optimize__steps=80,
        optimize__checkpoint_steps=1000,
        optimize__jitter=False,
    )
    scene, _ = load_representation(done(config))
    # z = 2 rgb - 1, so that half of s (mu_tgt - mu_src) = 0.4 is the change of colour
    torch.testing.assert_close(scene.parameters().colors[0], start + 0.2, atol=0.01, rtol=0)


@pytest.mark.parametrize("kind", ["splats", "mesh"])
def test_resumed_is_uninterrupted(tmp_path, kind):
    file = cubes(tmp_path)[kind]
    whole = done(edit_config(tmp_path / "a", file))
    parted = create_folder(edit_config(tmp_path / "b", file))
    with pytest.raises(StopRequested):
        execute(parted, StopAt(3))
    execute(parted)
    a, b = (CheckpointStore(f.checkpoints).latest().hash() for f in (whole, parted))
    assert a == b
    assert asset(whole) == asset(parted)
    assert asset(whole) != file.read_bytes()


def test_keeping_the_shape_of_a_glb_keeps_its_bytes(tmp_path):
    file = two_part_glb(tmp_path)
    new, old = asset(done(edit_config(tmp_path / "runs", file, edit__keep="shape"))), file.read_bytes()
    assert new != old
    assert all(accessor(new, k) == accessor(old, k) for k in range(3))
    a, b = glb_parts(old)[0], glb_parts(new)[0]
    assert a["nodes"] == b["nodes"]
    assert a["materials"] == b["materials"][:2]


@pytest.mark.parametrize("keep", ["shape", "colour", "nothing"])
def test_columns_that_are_kept_and_rows_outside_stay_to_the_bit(tmp_path, keep):
    """Adam's moments never reach what is kept or outside: it has none there."""
    file = splat_file(tmp_path)
    folder = done(edit_config(tmp_path / "runs", file, edit__keep=keep, edit__region=["box:0,-9,-9,9,9,9"]))
    (tmp_path / "new.ply").write_bytes(asset(folder))
    old, new = (open_splats(source_of(p)).columns.named() for p in (file, tmp_path / "new.ply"))
    inside = old["means"][:, 0] >= 0
    shape = ("means", "log_scales", "rotations", "logit_opacities")
    for name, value in old.items():
        same = (value == new[name]).reshape(len(value), -1).all(1)
        kept = keep == ("shape" if name in shape else "colour")
        assert bool(same[~inside].all()), name
        assert bool(same.all()) if kept else not bool(same[inside].all()), name


def test_a_region_of_a_mesh_leaves_the_other_part_alone(tmp_path):
    file = two_part_glb(tmp_path)
    folder = done(edit_config(tmp_path / "runs", file, edit__region=["part:right"], edit__keep="shape"))
    a, b = (glb_parts(d)[0] for d in (file.read_bytes(), asset(folder)))
    assert a["images"] == b["images"]
    assert a["meshes"][0] == b["meshes"][0]
    assert "COLOR_0" in b["meshes"][1]["primitives"][0]["attributes"]


def test_the_shape_alone_moves_vertices_and_normals(tmp_path):
    file = mesh_file(tmp_path)
    new, old = asset(done(edit_config(tmp_path / "runs", file, edit__keep="colour"))), file.read_bytes()
    document = glb_parts(old)[0]
    names = document["meshes"][0]["primitives"][0]["attributes"]
    different = {n for n, k in names.items() if accessor(old, k) != accessor(new, k)}
    assert different == {"POSITION", "NORMAL"}
    assert accessor(old, document["meshes"][0]["primitives"][0]["indices"]) == accessor(
        new, document["meshes"][0]["primitives"][0]["indices"]
    )
    a, b = (assetio.read(_file(tmp_path, n, d)).mesh for n, d in (("a.glb", old), ("b.glb", new)))
    # corners of the cube that were one place are one place still
    welds = [np.unique(m.vertices.numpy(), axis=0, return_inverse=True)[1] for m in (a, b)]
    assert welds[0].max() == welds[1].max()


def test_other_formats_are_converted(tmp_path):
    folder = done(edit_config(tmp_path / "runs", mesh_file(tmp_path), export=["glb", "obj"]))
    assert {"glb", "obj"} <= set(folder.assets())
    splats = done(edit_config(tmp_path / "runs", splat_file(tmp_path), export="splat"))
    assert set(splats.assets()) == {"splat"}


def test_the_pull_to_the_original_keeps_an_edit_near(tmp_path):
    file = splat_file(tmp_path)
    away = []
    for fidelity in (0.0, 100.0):
        scene, _ = load_representation(
            done(
                edit_config(
                    tmp_path / "runs",
                    file,
                    edit__keep="shape",
                    edit__fidelity=fidelity,
                    optimize__steps=12,
                    optimize__lr=4.0,
                    optimize__checkpoint_steps=1000,
                )
            )
        )
        away.append(float(scene.differences.values["sh_dc"].norm()))
    assert away[1] < 0.6 * away[0]


def test_every_method_that_needs_an_original_has_one(tmp_path):
    for method in ("pds", "dds"):
        config = edit_config(
            tmp_path / "runs", splat_file(tmp_path / method), guidance=method, optimize__steps=1
        )
        assert done(config).status().state == "finished"
    config = edit_config(tmp_path / "runs", splat_file(tmp_path / "sds"), guidance="sds", edit__prompt="")
    assert done(config).status().state == "finished"


# --- configs


def test_a_file_says_the_same_as_the_command(tmp_path):
    """config.yaml holds every choice, so that it reads back, and needs no file to be read."""
    file = mesh_file(tmp_path)
    folder = create_folder(edit_config(tmp_path / "runs", file))
    config = folder.config()
    assert (config.representation.kind, config.export, config.guidance.method) == (
        "edited_mesh",
        ("glb",),
        "dds",
    )
    file.unlink()
    assert folder.config() == config
    with pytest.raises(AssetError, match="does not exist"):
        execute(folder)


def test_the_hash_knows_the_file_by_its_content(tmp_path):
    one, two = mesh_file(tmp_path / "a"), mesh_file(tmp_path / "b")
    hashes = {configs.hash_of(edit_config(tmp_path, f)) for f in (one, two)}
    assert len(hashes) == 1
    other = mesh_file(tmp_path / "c", textured=False)
    assert configs.hash_of(edit_config(tmp_path, other)) not in hashes


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"edit__prompt": ""}, "edit.prompt"),
        ({"edit__source": "nowhere.glb"}, "no file and no run called 'nowhere.glb'"),
        ({"representation": "grid"}, "grid edits nothing"),
        ({"particles": 2}, "neither stages nor particles"),
        ({"edit__keep": "color"}, "colour"),
        ({"edit__strength": 1.5}, "less than or equal to 1"),
        ({"guidance": "dreamfusion"}, "dreamfusion"),
        ({"export": "obj"}, "has no mesh"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_made(tmp_path, changes, told):
    with pytest.raises(Exception, match=told):
        check_choices(edit_config(tmp_path / "runs", splat_file(tmp_path), **changes))
    assert not (tmp_path / "runs").exists()


def test_editing_representations_need_an_edit(tmp_path):
    for kind in ("edited_splats", "edited_mesh"):
        with pytest.raises(ConfigError, match="names none"):
            check_choices(configs.from_mapping(SMALL | {"representation": kind, "runs": str(tmp_path)}))


def test_methods_can_be_compared_on_an_edit(tmp_path):
    """A comparison whose file edits takes methods that edit; one of prompts alone does not."""
    from sds3d.jobs.compare.asked import read
    from sds3d.jobs.compare.plan import plan

    path = tmp_path / "compare.yaml"
    prior = {"kind": "analytic", "shape": [3, 8, 8], "conditions": CONDITIONS}
    given = {"prompts": ["a blue thing"], "methods": ["dds", "sds"], "equal": "steps", "prior": prior}
    edit = {"source": str(splat_file(tmp_path)), "prompt": "a red thing"}
    path.write_text(yaml.safe_dump(given | {"edit": edit}))
    assert {cell.config.edit.prompt for cell in plan(read([str(path)], {})).cells} == {"a red thing"}
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(ConfigError, match="edits a given object"):
        plan(read([str(path)], {}))


# --- history


def test_edits_of_edits_tell_where_they_come_from(tmp_path):
    file, runs = splat_file(tmp_path), tmp_path / "runs"
    short = {"edit__keep": "shape", "optimize__steps": 1}
    first = done(edit_config(runs, file, **short))
    again = done(edit_config(runs, first.path, **short, prompt="a green thing"))
    branch = done(edit_config(runs, first.path, **short, prompt="a grey thing"))
    assert history.beginning(again.path and again) == (file.resolve(), [first, again])
    steps = history.tree(first.path, runs)
    assert [(s.depth, s.here) for s in steps] == [(0, False), (1, True), (2, False), (2, False)]
    assert {s.run.path for s in steps[2:]} == {again.path, branch.path}
    assert [s.depth for s in history.tree(file, runs)] == [0, 1, 2, 2]
    assert history.undo(again) == first.assets()["3dgs"].resolve()
    copy = history.undo(first, tmp_path / "copy.ply")
    assert copy.read_bytes() == file.read_bytes()
    with pytest.raises(AssetError, match="exists already"):
        history.undo(first, copy)
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(RunFolderError, match="was changed"):
        history.undo(first)


def test_a_run_that_edits_nothing_has_nothing_before_it(tmp_path):
    folder = create_folder(configs.from_mapping(SMALL | {"runs": str(tmp_path)}))
    with pytest.raises(RunFolderError, match="is no edit"):
        history.undo(folder)


# --- the command line


@pytest.fixture
def sds3d(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(w) for w in words])
        return left.value.code or 0, *capsys.readouterr()

    return call


QUICK = (
    f"prior={json.dumps({'kind': 'analytic', 'shape': [3, 8, 8], 'conditions': CONDITIONS})}",
    "optimize.steps=2",
    "optimize.preview_steps=0",
    "pictures.contact_size=16",
    "pictures.turntable_frames=0",
    "threads=1",
)


def test_edit_history_undo_from_the_command_line(sds3d, tmp_path):
    file = splat_file(tmp_path)
    words = ("--from", "a red thing", "--to", "a blue thing", "--keep", "color", "--up", "+y", "--quiet")
    status, out, err = sds3d("edit", file, *words, *QUICK)
    assert (status, err) == (0, "")
    assert "asset.3dgs.ply" in out
    (run,) = (tmp_path / "runs").iterdir()
    assert yaml.safe_load((run / "config.yaml").read_text())["edit"]["keep"] == "colour"
    assert "data:image/png" in (run / "report.html").read_text().split("Before and after")[1][:200]
    status, out, _ = sds3d("history", run.name)
    assert status == 0
    assert out.splitlines()[0].strip() == str(file)
    assert out.splitlines()[1].startswith("*")
    assert "a blue thing" in out
    assert json.loads(sds3d("history", file, "--json")[1])[1]["prompt"] == "a blue thing"
    status, out, _ = sds3d("undo", run)
    assert (status, out.strip()) == (0, str(file))


def test_options_of_the_file_s_own_representation_are_known(sds3d, tmp_path):
    file = mesh_file(tmp_path)
    words = ("--from", "a red thing", "--to", "a blue thing", "--preview-strip", "strip.png")
    assert sds3d("edit", file, *words, *QUICK, "representation.smoothness=0", "edit.strength=0")[0] == 0
    status, _, err = sds3d("edit", file, *words, *QUICK, "representation.lr_means=0")
    assert status == 2
    assert "representation.lr_means: unknown key" in err


def test_a_strip_of_strengths(sds3d, tmp_path):
    file = splat_file(tmp_path)
    words = ("--from", "a red thing", "--to", "a blue thing", "--preview-strip", "strip.png")
    status, out, _ = sds3d("edit", file, *words, *QUICK)
    assert (status, out.strip()) == (0, "strip.png")
    pixels = assetio.read(tmp_path / "strip.png").picture.pixels
    assert pixels.shape[2] > 2 * pixels.shape[1]
    assert not (tmp_path / "runs").exists()


def _file(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def test_a_moved_folder_of_runs_finds_what_it_edited(tmp_path):
    """An edit of an edit, moved together: undo, history, resume and further edits find the first beside it."""
    file = splat_file(tmp_path)
    quick = {"optimize__steps": 2, "pictures__contact_views": 0}
    one = done(edit_config(tmp_path / "runs", file, **quick))
    two = create_folder(edit_config(tmp_path / "runs", one.path, seed=1, **quick))
    (tmp_path / "runs").rename(tmp_path / "moved")
    there = RunFolder.open(tmp_path / "moved" / two.path.name)
    execute(there)
    assert history.undo(there) == tmp_path / "moved" / one.path.name / "asset.3dgs.ply"
    assert [step.depth for step in history.tree(there.path, tmp_path / "moved")] == [0, 1, 2]
    history.undo(there).write_bytes(file.read_bytes())
    with pytest.raises(RunFolderError, match="was changed"):
        history.undo(there)


def test_a_region_is_shown_before_anything_is_made(sds3d, tmp_path):
    file = splat_file(tmp_path)
    words = ("--from", "a red thing", "--to", "a blue thing", "--up", "+y", "--region", "box:0,-9,-9,9,9,9")
    status, out, err = sds3d("edit", file, *words, *QUICK, "--show-region", "where.png")
    assert (status, err, out.strip()) == (0, "", "where.png")
    assert assetio.read(tmp_path / "where.png").picture is not None
    assert not (tmp_path / "runs").exists()
