"""Which sides a prior's samples show: an oracle that knows its camera, one that is turned, and one that has no back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import yaml

from sds3d.cli.main import main
from sds3d.core.cameras import orbit
from sds3d.evaluate.headings import headings
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.truth import truth_of
from sds3d.objects.captions import read_caption
from sds3d.objects.catalogue import find
from sds3d.objects.held_out import pair_is_held_out
from sds3d.priors.kinds.oracle_scene import Options, create
from sds3d.training.options import PictureOptions, TrainOptions
from sds3d.training.view_report import (
    Ring,
    caption_for,
    evaluate_views,
    ring_cameras,
    sampled_ring,
    summary,
    true_rings,
    truth_views,
)

CAPTION = "a red duck"


def oracle(azimuth_of):
    """A prior whose pictures show the true duck from `azimuth_of(the asked azimuths)`."""
    mesh = truth_of(CAPTION).mesh

    def render(name, look):
        cameras = orbit(azimuth_of(look.cameras.azimuth_deg).tolist(), look.cameras.elevation_deg.tolist())
        return render_mesh(mesh, cameras, look.size, look.background)["rgb"]

    return create(Options(assets=(CAPTION,), size=48, width=0.01), render=render)


@pytest.fixture(scope="module")
def truth():
    return truth_views(CAPTION)


@pytest.mark.parametrize(
    ("azimuth_of", "error", "winding"),
    [
        (lambda a: a, 0.0, 1),
        (lambda a: a + 90.0, 90.0, 1),
        (lambda a: -a, 90.0, -1),
        (lambda a: 0.0 * a, 90.0, 0),
    ],
    ids=["knows its camera", "a quarter turn off", "mirrored", "front alone"],
)
def test_a_prior_is_judged_by_the_sides_it_shows(truth, azimuth_of, error, winding):
    ring = sampled_ring(oracle(azimuth_of), find("duck"), CAPTION, truth, seed=0, view_words=False)
    assert ring.seen.error_deg == error
    assert ring.seen.winding == winding
    assert ring.once_around == (winding == 1)


def test_true_pictures_of_other_builds_are_found():
    """The matcher's ceiling, on lit pictures: a chair has a front, and a star's two sides are one."""
    for ring in true_rings("a red chair"):
        assert ring.seen.error_deg == 0.0
        assert ring.once_around
    assert not all(ring.once_around for ring in true_rings("a red star"))


def test_the_summary_counts_views_and_objects():
    asked = ring_cameras().azimuth_deg.tolist()
    right = Ring(find("duck"), headings(asked, asked))
    backless = Ring(find("car"), headings(asked, [0.0] * len(asked)))
    found = summary([right, backless])
    assert found["objects"] == 2
    assert found["winding number 1"] == "1 of 2"
    assert found["of animals"] == "1 of 1"
    assert found["front shown"] == 1.0
    assert found["back shown"] == 0.5
    assert found["views within 15 degrees"] == 9 / 16
    assert found["median error, degrees"] == 0.0
    assert summary([]) == {"objects": 0}
    assert torch.equal(right.off_deg, torch.zeros(8))
    turned = replace(backless, seen=headings(asked, [a - 350.0 for a in asked]))
    torch.testing.assert_close(turned.off_deg, torch.full((8,), 10.0))


def test_captions_are_in_colours_that_training_showed_and_light_cannot_mix_up():
    for name in ("duck", "elephant", "car"):
        said = {caption_for(find(name), number) for number in range(12)}
        assert len(said) >= 6
        for caption in said:
            subject, colours = read_caption(caption)
            assert subject.kinds[0].name == name
            assert colours["main"] not in ("white", "gray", "black")
            assert not pair_is_held_out(colours["main"], subject.kinds[0])


def test_kinds_that_cannot_be_told_are_named_and_left_out(tmp_path):
    """Of these, a ball has no front, a sword two, and a cow is no word of the shipped model."""
    options = TrainOptions(folder=tmp_path, pictures=PictureOptions(kinds=("sphere", "sword", "cow")))
    found = evaluate_views(options, "prior32", 1, print)
    assert found["not told apart"] == ["sword"]
    assert found["camera"] == found["view words"] == {"objects": 0}
    assert found["by kind"] == {}


def config_file(tmp_path, **values):
    path = tmp_path / "prior.yaml"
    path.write_text(yaml.safe_dump({"folder": str(tmp_path), **values}))
    return str(path)


@pytest.mark.parametrize(
    ("values", "words", "said"),
    [
        ({}, ["--model", "prior32"], "--model goes with --views"),
        ({"medium": "audio"}, ["--views"], "sounds have no sides"),
        ({}, ["--views", "--model", "prior99"], "--model: 'prior99' is neither a model folder nor prior32"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path, capsys, values, words, said):
    with pytest.raises(SystemExit) as stop:
        main(["prior", "eval", config_file(tmp_path, **values), *words])
    assert stop.value.code == 1
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_the_shipped_prior_is_judged_by_the_command(tmp_path, capsys):
    path = config_file(tmp_path, pictures={"kinds": ["duck"]})
    with pytest.raises(SystemExit) as stop:
        main(["prior", "eval", path, "--views", "--model", "prior32", "--seeds", "1", "--json"])
    assert stop.value.code == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["camera"]["objects"] == found["view words"]["objects"] == 1
    assert found["true pictures"]["winding number 1"] == "3 of 3"
    assert list(found["by kind"]) == ["duck"]
