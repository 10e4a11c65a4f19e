"""Fine-tuning on a user's own assets: captions from file names, pictures, new words, the way from --data to a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sds3d.assetio import write
from sds3d.cli.main import app
from sds3d.core.assets import Mesh
from sds3d.core.cameras import orbit
from sds3d.core.errors import Sds3dError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.objects.catalogue import find
from sds3d.objects.shape import build, natural_colours
from sds3d.priors.kinds.embedded import Options, create
from sds3d.training.own import Mixed, OwnBatches, find_assets, load_mesh, mesh_layers, own_words
from sds3d.training.start import load_start


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two assets and captions for one of them."""
    path = tmp_path_factory.mktemp("own assets")
    for name, kind in (("zorbian-Duck", "duck"), ("a_plain_mug", "mug")):
        found = find(kind)
        mesh = build(found).mesh(natural_colours(found))
        moved = Mesh(mesh.vertices * 3 + 1, mesh.faces, mesh.colors)
        write(moved, path / f"{name}.glb")
    (path / "captions.yaml").write_text("a_plain_mug.glb: [A Mug, a quux mug]\n")
    (path / "notes.txt").write_text("not an asset")
    return path


def test_names_are_captions(folder):
    mug, duck = find_assets(folder)
    assert duck.captions == ("a zorbian duck",)
    assert mug.captions == ("a mug", "a quux mug")
    assert own_words([duck, mug]) == ["a", "duck", "mug", "quux", "zorbian"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("duck.glb: a duck", "not there"), ("a_plain_mug.glb: 3", "one sentence or a list"), ("- a", "no mapping"),
     ("a: [", "no YAML")],
)  # fmt: skip
def test_broken_captions_are_refused(folder, tmp_path, text, said):
    (tmp_path / "a_plain_mug.glb").write_bytes((folder / "a_plain_mug.glb").read_bytes())
    (tmp_path / "captions.yaml").write_text(text)
    with pytest.raises(Sds3dError, match=said):
        find_assets(tmp_path)


def test_a_folder_without_assets_is_refused(tmp_path):
    with pytest.raises(Sds3dError, match="holds no"):
        find_assets(tmp_path)


def test_an_asset_fills_the_ball(folder):
    mesh = load_mesh(folder / "a_plain_mug.glb")
    low, high = mesh.vertices.min(0).values, mesh.vertices.max(0).values
    assert torch.allclose(low, -high, atol=1e-5)
    assert float(mesh.vertices.norm(dim=1).max()) == pytest.approx(0.8, abs=1e-5)


def test_layers_show_the_mesh(folder):
    """Coverage is the silhouette; the colour of a pixel is the mesh's colour times one shade."""
    mesh = load_mesh(folder / "zorbian-Duck.glb")
    layers = mesh_layers(mesh, 40.0, 20.0, 32)
    drawn = render_mesh(mesh, orbit([40.0], [20.0]), (32, 32), torch.zeros(1, 3), samples=2)
    assert torch.allclose(layers[..., 7], drawn["alpha"][0, 0], atol=1e-5)
    inside = layers[..., 7] == 1
    shown, plain = layers[..., 3:6][inside], drawn["rgb"][0].permute(1, 2, 0)[inside]
    ratio = (shown / plain.clamp(min=0.02))[plain.min(dim=1).values > 0.05]
    assert float((ratio.max(dim=1).values / ratio.min(dim=1).values).median()) == pytest.approx(1.0, abs=0.02)
    assert float(layers[..., :3].abs().max()) == 0


def test_batches_repeat_and_mix(folder):
    own = OwnBatches(find_assets(folder), Streams(3), 16, 4, (-10.0, 70.0))
    one, two = own.draw(2, 6), own.draw(2, 6)
    assert torch.equal(one.rgb, two.rgb)
    assert one.captions == two.captions
    assert {c.split(",")[0] for k in range(8) for c in own.draw(k, 6).captions} == {
        "a zorbian duck",
        "a mug",
        "a quux mug",
    }
    other = OwnBatches(find_assets(folder), Streams(4), 16, 4, (-10.0, 70.0))
    mixed = Mixed(other, own, 0.5).draw(2, 8)
    assert torch.equal(mixed.rgb[4:], own.draw(2, 4).rgb)
    assert mixed.rgb.shape == (8, 3, 16, 16)
    assert len(mixed.captions) == 8


def test_new_words_leave_the_known_ones_alone():
    """A widened tower reads a known sentence to the same vectors, and tells two new words apart."""
    start = load_start("prior64", ["zorbian", "quux", "red"], seed=0)
    prior = create(Options(model="prior64", precision="float32"))
    tokenizer = start.tower.tokenizer
    fresh = {"zorbian", "quux"}
    assert set(tokenizer.get_vocab()) - set(prior.tokenizer.get_vocab()) == fresh

    def states(text: str) -> torch.Tensor:
        ids = tokenizer([text], padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
        return start.tower.text_encoder(ids).last_hidden_state[0]

    known, _ = prior._embed("a red cube")
    assert torch.allclose(states("a red cube"), known, atol=1e-5)
    assert float((states("a zorbian cube") - states("a quux cube")).abs().max()) > 0.1
    assert start.network.unshuffle == 4


@pytest.mark.parametrize("model", ["prior32", "prior64"])
def test_from_files_to_a_model(folder, tmp_path, model):
    """The user's command: a few steps from a shipped model; the new model reads the new words; again goes on."""
    out = tmp_path / "tuned"
    words = ["prior", "train", f"folder={out}", "images=16", "batch=8", "data_share=1", "data_views=4",
             "reading.steps=3", "--data", str(folder), "--from", model]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert f"reading: not used; the text tower is that of start={model}" in result.output
    options = Options(folder=out / "model", precision="float32")
    prior, before = create(options), create(Options(model=model, precision="float32"))
    look = Look(orbit([0.0], [10.0]), prior.info.size, torch.ones(1, 3))
    from sds3d.priors.base import Prompts

    prior.prepare(Prompts("a zorbian duck, back view"))
    z, t = torch.zeros(1, 3, *prior.info.size), torch.tensor([0.5], dtype=torch.float64)
    answers = [
        p.predict(z, t, p.condition(p.prepare(Prompts("a duck")), look, {})["y"]).eps for p in (prior, before)
    ]
    change = float((answers[0] - answers[1]).abs().max())
    assert 0 < change < 0.5, "two steps change the network a little; it started from the shipped one"
    assert not (out / "pictures").exists()


def test_own_pictures_need_a_model_to_start_from(folder, tmp_path):
    result = CliRunner().invoke(
        app, ["prior", "train", f"folder={tmp_path}", "data_share=1", "--data", str(folder)]
    )
    assert result.exit_code == 1
    assert "prior64" in str(result.exception) + result.output
