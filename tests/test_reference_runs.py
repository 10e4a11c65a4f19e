"""Runs that follow a picture: config, copies, hashes, resuming, forking, stages, refusals, and what is read in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from reference_cases import picture_file, two_halves
from sds3d.apps.report import write_report
from small_run import SMALL, StopAt, small_config
from test_jobs_execute import numbers

from sds3d.assetio.kinds import read
from sds3d.assetio.pictures import load_image
from sds3d.cli import main as cli
from sds3d.core.errors import AssetError, ConfigError, StopRequested
from sds3d.jobs import configs, referencing
from sds3d.jobs.batch import create_folder
from sds3d.jobs.execute import execute
from sds3d.jobs.fork import fork
from sds3d.jobs.runfolder import RunFolder
from sds3d.optimize.checkpoint import CheckpointStore


def config_of(runs: Path, picture: Path, **changes):
    return small_config(runs, reference={"image": str(picture), "weight": 4.0}, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was never stopped, whose picture is gone."""
    place = tmp_path_factory.mktemp("followed")
    picture = picture_file(place)
    folder = create_folder(config_of(place / "runs", picture))
    picture.unlink()
    execute(folder, None, [write_report])
    return folder


def test_the_run_keeps_its_picture_and_shows_it_beside_the_result(finished):
    rows = numbers(finished)
    assert all({"reference_psnr", "loss_reference", "loss_reference_mask"} <= set(row) for row in rows)
    config = yaml.safe_load(finished.config_file.read_text())
    kept = finished.path / config["reference"]["image"]
    assert config["reference"]["image"] == kept.name  # relative: the folder may be moved
    assert torch.allclose(load_image(kept), two_halves(), atol=1 / 255)
    assert load_image(finished.reference_view).shape[2] > load_image(finished.reference_view).shape[1]
    page = finished.report.read_text()
    assert "The picture, and the same view" in page
    assert "reference_psnr" in page
    assert read(finished.assets()["glb"]).provenance["picture_sha256"] == config["reference"]["sha256"]


def test_a_stopped_run_whose_picture_is_gone_ends_with_the_same_bits(tmp_path, finished):
    picture = picture_file(tmp_path)
    folder = create_folder(config_of(tmp_path / "runs", picture))
    picture.unlink()
    with pytest.raises(StopRequested):
        execute(folder, StopAt(5))
    moved = RunFolder(tmp_path / "moved")
    shutil.move(folder.path, moved.path)
    execute(moved)
    ends = [CheckpointStore(f.checkpoints).latest().hash() for f in (moved, finished)]
    assert ends[0] == ends[1]
    assert numbers(moved) == numbers(finished)
    assert moved.reference_view.read_bytes() == finished.reference_view.read_bytes()


def test_a_run_without_a_picture_ends_elsewhere(tmp_path, finished):
    folder = create_folder(small_config(tmp_path))
    execute(folder)
    assert (
        CheckpointStore(folder.checkpoints).latest().hash()
        != CheckpointStore(finished.checkpoints).latest().hash()
    )
    assert not folder.reference_view.exists()
    assert not any("reference" in key for row in numbers(folder) for key in row)


def test_a_run_forks_and_is_repeated_without_the_first_picture(tmp_path, finished):
    made = fork(finished, ["optimize.steps=10", "reference.weight=1"])
    assert made.config().reference.weight(0.0) == 1.0
    assert Path(made.config().reference.image).parent == made.path
    execute(made)
    assert made.status().step == 10
    again = configs.from_words([str(finished.config_file), f"runs={tmp_path}"])
    assert configs.hash_of(again) == configs.hash_of(finished.config())
    assert Path(create_folder(again).config().reference.image).is_file()


def test_a_picture_is_known_by_its_bytes_and_not_by_its_place(tmp_path):
    one = config_of(tmp_path, picture_file(tmp_path / "a"))
    same = config_of(tmp_path, picture_file(tmp_path / "b", "other.png"))
    other = config_of(tmp_path, picture_file(tmp_path / "c", picture=two_halves().flip(-1)))
    assert configs.hash_of(one) == configs.hash_of(same)
    assert len({configs.hash_of(c) for c in (one, other, small_config(tmp_path))}) == 3


def test_a_picture_that_was_changed_is_refused(tmp_path):
    folder = create_folder(config_of(tmp_path, picture_file(tmp_path)))
    kept = Path(folder.config().reference.image)
    kept.write_bytes(picture_file(tmp_path, "other.png", two_halves().flip(-1)).read_bytes())
    with pytest.raises(ConfigError, match=r"reference\.image.*not the picture that this run began with"):
        folder.config()


def test_a_yaml_names_pictures_from_where_it_lies(tmp_path, monkeypatch):
    picture_file(tmp_path / "deep")
    text = yaml.dump({"prompt": "a colour", "prior": SMALL["prior"], "reference": {"image": "picture.png"}})
    (tmp_path / "deep" / "run.yaml").write_text(text)
    config = configs.from_words([str(tmp_path / "deep" / "run.yaml")])
    assert Path(config.reference.image) == tmp_path / "deep" / "picture.png"
    monkeypatch.chdir(tmp_path)
    config = configs.from_words(
        ["deep/run.yaml", "reference.image=deep/picture.png"]
    )  # of the command line: from here
    assert Path(config.reference.image) == tmp_path / "deep" / "picture.png"


def test_what_is_wrong_with_a_picture_names_file_line_and_key(tmp_path):
    (tmp_path / "run.yaml").write_text("prompt: a red car\nreference:\n  image: nowhere.png\n")
    with pytest.raises(ConfigError, match=r"run\.yaml:3: reference\.image: .*nowhere\.png: .*does not exist"):
        configs.read(tmp_path / "run.yaml")
    with pytest.raises(ConfigError, match=r"reference\.elevation: unknown key.*Did you mean elevation_deg"):
        small_config(tmp_path, reference={"image": str(picture_file(tmp_path)), "elevation": 3})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"representation": {"kind": "image"}}, "image is seen by no camera"),
        ({"representation": {"kind": "nerf", "background": {"kind": "solid"}}}, "the background is learned"),
    ],
)
def test_scenes_that_cannot_be_compared_are_refused_before_anything_is_made(tmp_path, changes, told):
    config = config_of(tmp_path / "runs", picture_file(tmp_path), **changes)
    with pytest.raises(ConfigError, match=told):
        create_folder(config)
    assert not (tmp_path / "runs").exists()


def test_a_picture_without_an_object_is_refused_before_anything_is_made(tmp_path):
    white = picture_file(tmp_path, picture=torch.ones(3, 32, 32))
    with pytest.raises(ConfigError, match=r"reference\.image: .*shows no object"):
        create_folder(config_of(tmp_path / "runs", white))
    (tmp_path / "no.png").write_bytes(b"no picture at all")
    with pytest.raises(ConfigError, match="is no PNG"):
        create_folder(config_of(tmp_path / "runs", tmp_path / "no.png"))
    assert not (tmp_path / "runs").exists()


def test_stages_complete_their_picture_by_the_runs(tmp_path):
    stages = [{"name": "shape", "optimize": {"steps": 2}}, {"name": "paint", "reference": {"weight": 0.5}}]
    config = config_of(tmp_path / "runs", picture_file(tmp_path), stages=stages)
    first, second = config.in_stages()
    assert first.reference.weight(0.0) == 4.0
    assert second.reference.weight(0.0) == 0.5
    assert first.reference.image == second.reference.image
    folder = create_folder(config)
    (tmp_path / "picture.png").unlink()
    kept = [Path(stage.reference.image) for stage in folder.config().in_stages()]
    assert all(path.parent == folder.path and path.is_file() for path in kept)
    assert [configs.hash_of_stage(folder.config(), k) for k in (0, 1)] == [
        configs.hash_of_stage(config, k) for k in (0, 1)
    ]


def test_stages_without_pictures_hash_as_before_there_were_any(tmp_path):
    stages = [{"name": "shape", "optimize": {"steps": 2}}]
    config = small_config(tmp_path, stages=stages)
    assert "reference" not in config.model_dump(mode="json")["stages"][0]


def test_a_picture_alone_is_named_by_what_is_read_in_it(tmp_path, monkeypatch):
    read = ["a red car", "a red truck", "a pink car"]
    monkeypatch.setattr(referencing, "captions_of", lambda options, words: read)
    picture = picture_file(tmp_path)
    config = configs.from_words([str(picture), f"runs={tmp_path / 'runs'}"])
    assert config.prompt == "a red car"
    assert list(config.reference.captions) == read
    assert config.slug() == "red-car"
    folder = RunFolder.create(config)
    assert list(folder.config().reference.captions) == read  # in the run's record
    said = configs.from_words([str(picture), "prompt=a blue car"])
    assert said.prompt == "a blue car"
    assert not said.reference.captions
    assert configs.from_words(["a blue car", f"reference.image={picture}"]).prompt == "a blue car"


def test_other_priors_need_words(tmp_path):
    values = {k: v for k, v in SMALL.items() if k != "prompt"}
    with pytest.raises(ConfigError, match=r"needs a prompt.*embedded prior"):
        configs.from_mapping(values | {"reference": {"image": str(picture_file(tmp_path))}})


def test_the_command_line_tells_what_it_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(referencing, "captions_of", lambda options, words: ["a red car", "a red truck"])
    monkeypatch.setattr("sds3d.jobs.batch.create_folders", lambda config: ([], []))
    with pytest.raises(SystemExit) as end:
        cli.main(["run", str(picture_file(tmp_path)), f"runs={tmp_path / 'runs'}"])
    assert end.value.code == 0
    assert 'read in the picture: "a red car" (next: "a red truck")' in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main(["run", str(tmp_path / "gone.jpg")])
    assert end.value.code == 2
    assert "gone.jpg: cannot be read: it does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("behind", [(1.0, 1.0, 1.0), (0.5, 0.5, 0.5)])
def test_known_objects_are_read_on_white_and_on_grey(tmp_path, behind):
    from sds3d.evaluate.reading import read_captions
    from sds3d.jobs.reference_options import ReferenceOptions
    from sds3d.objects.captions import with_article
    from sds3d.objects.catalogue import find
    from sds3d.objects.colours import FIXED
    from sds3d.objects.shape import build
    from sds3d.training.layers import compose, render_layers

    for colour, name in (
        ("blue", "mushroom"),
        ("green", "chair"),
        ("orange", "snowman"),
        ("yellow", "banana"),
    ):
        kind = find(name)
        layers = render_layers(build(kind), 0.0, 15.0, 96)[None]
        colours = torch.tensor([[FIXED[colour], FIXED[kind.second_natural], FIXED[colour]]])
        shown = compose(layers, colours, torch.zeros(1), torch.tensor([behind]))[0]
        file = picture_file(tmp_path, f"{name}.png", shown)
        found = read_captions(referencing.cutout_of(ReferenceOptions(image=str(file))))
        assert found[0].caption == with_article(f"{colour} {name}")
        assert found[0].probability > found[1].probability


def test_what_the_prior_cannot_read_is_not_read(tmp_path):
    from sds3d.jobs.reference_options import ReferenceOptions
    from sds3d.objects.catalogue import find
    from sds3d.objects.colours import FIXED
    from sds3d.objects.shape import build
    from sds3d.training.layers import compose, render_layers

    layers = render_layers(build(find("hydrant")), 0.0, 15.0, 96)[None]
    colours = torch.tensor([[FIXED["red"], FIXED[find("hydrant").second_natural], FIXED["red"]]])
    file = picture_file(
        tmp_path, "hydrant.png", compose(layers, colours, torch.zeros(1), torch.ones(1, 3))[0]
    )
    options = ReferenceOptions(image=str(file))
    known = {
        model: referencing.words_of({"kind": "embedded", "model": model}) for model in ("prior32", "prior64")
    }
    assert "a red hydrant" in referencing.captions_of(options, known["prior64"])
    found = referencing.captions_of(options, known["prior32"])
    assert found
    assert all(set(caption.split()) <= set(known["prior32"]) for caption in found)
    with pytest.raises(AssetError, match="say a prompt"):
        referencing.captions_of(options, {"a", "unicorn"})
