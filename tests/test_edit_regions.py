"""Regions that pictures tell: votes of views, what the config keeps, words, and what two sentences differ in."""

from __future__ import annotations

import zlib

import pytest
import torch
from edit_cases import edit_config, mask_file, mesh_file, splat_file
from hypothesis import given
from hypothesis import strategies as st
from sds3d.representations import edited_mesh, edited_splats
from sds3d.representations.edited import SceneEdit
from sds3d.representations.edited_mesh.votes import VERTICES
from sds3d.representations.region import Ballot, views_of
from sds3d.representations.told_region import packed, unpacked

from sds3d import assetio
from sds3d.assetio.image_bytes import encode_png
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError, ConfigError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.jobs.assemble import assemble, build_representation
from sds3d.jobs.batch import create_folder
from sds3d.jobs.contrasts import COLOURS, of_edit, of_words
from sds3d.jobs.execute import execute
from sds3d.jobs.regions import filled, settled, threshold
from sds3d.objects.catalogue import find
from sds3d.objects.colours import NAMED
from sds3d.objects.shape import build
from sds3d.optimize.timing import Stopwatch


def scene(file, **edit):
    module = edited_mesh if file.suffix in (".glb", ".obj") else edited_splats
    return module.create(module.Options(), Streams(0), SceneEdit(file=str(file), up="+y", **edit))


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_majority_is_more_than_half_of_those_who_see(seed, views):
    """Against counting by hand, view by view; a tie is a no, and so is what nobody sees."""
    u = Streams(seed).uniform((2, views, 7), "votes")[0]
    values, shares = u[0].round(), torch.where(u[1] < 0.4, 0.0, u[1])
    found = Ballot(values, shares).majority()
    for k in range(7):
        best = max(shares[:, k].tolist())
        seeing = [v for v in range(views) if shares[v, k] > 0.1 * best]
        yes = sum(bool(values[v, k] > 0.5) for v in seeing)
        assert bool(found[k]) == (yes > len(seeing) - yes)


@pytest.mark.parametrize("textured", [True, False])
def test_a_pixel_s_shares_add_up_to_what_is_there(tmp_path, textured):
    """Over all elements, share times value is the map's sum over the object: no part of a pixel is lost or doubled."""
    one = scene(mesh_file(tmp_path, textured=textured))
    cameras = orbit([25.0, 140.0], [20.0, -10.0])
    maps = Streams(3).uniform((2, 48, 48), "maps")[0].float()
    alpha = one.render(Look(cameras, (48, 48), torch.ones(2, 3)))["alpha"][:, 0]
    for ballot in one.ballots(cameras, maps).values():
        said = (ballot.shares * ballot.values).sum(1)
        torch.testing.assert_close(ballot.shares.sum(1), alpha.sum((1, 2)), rtol=0.03, atol=0)
        torch.testing.assert_close(said, (maps * alpha).sum((1, 2)), rtol=0.03, atol=0)


def test_views_that_disagree_are_counted(tmp_path):
    """White in front, black at the side: what both see is a tie and stays, what the front alone sees may change."""
    file, size = splat_file(tmp_path, count=300), (256, 256)
    for name, value in (("white", 1.0), ("black", 0.0)):
        (tmp_path / f"{name}.png").write_bytes(encode_png(torch.full((3, 8, 8), value)))
    front, side = f"{tmp_path}/white.png@0,0", f"{tmp_path}/black.png@60,0"
    both = scene(file, region=(f"mask:{front};{side}",), keep="shape").differences.rows["sh_dc"].tolist()
    alone = scene(file, region=(f"mask:{front}",), keep="shape").differences.rows["sh_dc"].tolist()
    whole = scene(file)
    seen = whole.ballots(orbit([0.0, 60.0], 0.0), torch.ones(2, *size))["splats"].seen()
    assert alone == seen[0].nonzero()[:, 0].tolist()
    assert both == (seen[0] & ~seen[1]).nonzero()[:, 0].tolist()
    assert 0 < len(both) < len(alone)
    three = whole.ballots(orbit([0.0, 60.0, 90.0], 0.0), torch.ones(3, *size))["splats"].seen().int()
    outvoted = f"mask:{front};{side};{tmp_path}/black.png@90,0"
    fewer = scene(file, region=(outvoted,), keep="shape").differences.rows["sh_dc"].tolist()
    assert fewer == (2 * three[0] > three.sum(0)).nonzero()[:, 0].tolist()
    assert set(fewer) <= set(both)


def test_a_mask_says_over_which_view_it_is_painted(tmp_path):
    assert [
        (v.file, v.azimuth_deg, v.elevation_deg) for v in views_of("mask:a@b.png@0,5; c.png@-90,1e1")
    ] == [
        ("a@b.png", 0.0, 5.0),
        ("c.png", -90.0, 10.0),
    ]
    for wrong in ("mask:a.png", "mask:a.png@1", "mask:@1,2", "mask:a.png@0,0;"):
        with pytest.raises(ValueError, match=r"mask|expected"):
            views_of(wrong)


@given(st.lists(st.lists(st.booleans(), max_size=40), max_size=3))
def test_a_packed_region_comes_back(sets):
    elements = {f"set{k}": torch.tensor(bits, dtype=torch.bool) for k, bits in enumerate(sets)}
    again = unpacked(packed(elements))
    assert again.keys() == elements.keys()
    assert all(torch.equal(again[name], elements[name]) for name in elements)


def test_a_packed_region_cannot_be_more_than_it_says():
    import base64

    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    for wrong in (f"a:8:{bomb}", "a:9:eJwDAAAAAAE=", "a:x:eJw=", "a:8", "a:8:!!", "a:-3:eJwDAAAAAAE="):
        with pytest.raises(ValueError, match=r"packed region|bytes for"):
            unpacked(wrong)


def test_what_was_told_needs_no_mask_any_more(tmp_path):
    """The config holds what a mask came to: the run goes on without the picture, and another file is refused."""
    file = splat_file(tmp_path)
    mask = mask_file(tmp_path, left=True)
    config = edit_config(
        tmp_path / "runs",
        file,
        edit__region=[f"mask:{mask}@0,0"],
        optimize__steps=1,
        pictures__contact_views=0,
    )
    rows = build_representation(config).differences.rows["means"]
    folder = create_folder(config)
    mask.unlink()
    execute(folder)
    kept = folder.config()
    assert torch.equal(build_representation(kept).differences.rows["means"], rows)
    (tmp_path / "more").mkdir()
    other = splat_file(tmp_path / "more", count=50)
    elsewhere = kept.edit.model_copy(update={"file": str(other), "sha256": None})
    with pytest.raises(ConfigError, match="another file"):
        build_representation(kept.model_copy(update={"edit": elsewhere}))
    with pytest.raises(AssetError, match=r"mask\.png"):
        create_folder(config)


def test_an_edit_whose_region_nobody_looked_for_does_not_begin(tmp_path):
    config = edit_config(tmp_path / "runs", splat_file(tmp_path), edit__region=["auto"])
    with pytest.raises(ConfigError, match="auto was not looked for"):
        assemble(config, Stopwatch())


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("hat", "a snowman with a red hat"),
        ("black hat", "a snowman with a red hat"),
        ("a hat", "a snowman with a red hat"),
        ("snowman", "a red snowman with a black hat"),
        ("scarf", "a snowman with a black hat with a red scarf"),
        ("boots", "a snowman with a black hat with red boots"),
    ],
)
def test_words_are_told_by_other_colours(words, first):
    found = of_words("a snowman with a black hat", words)
    assert found.own == "a snowman with a black hat"
    assert found.others[0] == first
    assert found.own not in found.others
    assert len(set(found.others)) == len(found.others) >= len(COLOURS) - 1


def test_articles_follow_the_colour():
    assert "an orange car" in of_words("a red car", "car").others
    assert "a red car" in of_words("an orange car", "car").others
    assert "A red car" in of_words("An orange car", "car").others


def test_edits_are_told_by_their_two_sentences():
    colour = of_edit("a red car", "an orange car")
    assert colour.others[0] == "an orange car"
    assert set(colour.others) == {f"a {c} car" for c in COLOURS if c not in ("red", "orange")} | {
        "an orange car"
    }
    assert of_edit("a red cube", "a red sphere").others == ("a red sphere",)
    assert of_edit("a red cube", "a blue sphere").others == ("a blue sphere",)
    for source in ("", "a red car"):
        with pytest.raises(ConfigError, match="auto"):
            of_edit(source, "a red car")


@given(st.floats(0.05, 0.4), st.floats(0.6, 0.95), st.integers(1, 30), st.integers(1, 30))
def test_the_threshold_parts_two_heaps(low, high, few, many):
    values = torch.tensor([low] * few + [high] * many)[None]
    cut = threshold({"a": Ballot(values, torch.ones_like(values))})
    assert low < cut < high


def test_outlines_take_what_lies_inside():
    alpha = torch.zeros(1, 9, 9)
    alpha[:, 3:6, 3:6] = 1.0
    values = torch.where(alpha > 0.5, 2.0, -50.0)
    out = filled(values, alpha)
    assert torch.equal(out[:, 2:7, 2:7], torch.full((1, 5, 5), 2.0))


def snowman(folder, name, hat):
    path = folder / f"{name}.glb"
    paints = {"main": NAMED["white"], "second": NAMED[hat], "third": NAMED["white"]}
    mesh = build(find("snowman")).mesh(paints, "snowman")
    assetio.write(mesh, path)
    return path, mesh


def seen_share(one, found, truth):
    """Intersection over union of vertices, each counted by how much of it is seen from around."""
    cameras = orbit([0.0, 60.0, 120.0, 180.0, 240.0, 300.0], 20.0)
    weight = one.ballots(cameras, torch.zeros(6, 96, 96))[VERTICES].shares.sum(0)
    return float(weight[found & truth].sum() / weight[found | truth].sum())


def test_auto_is_what_the_sentences_disagree_about(tmp_path, monkeypatch):
    """A prior that knows two assets exactly, which differ in a hat: the region is the hat."""
    monkeypatch.chdir(tmp_path)
    _, mesh = snowman(tmp_path, "black", "black")
    _, other = snowman(tmp_path, "red", "red")
    truth = (mesh.colors - other.colors).abs().sum(1) > 0.1
    prior = {"kind": "oracle_scene", "assets": ["black.glb", "red.glb"], "size": 48}
    config = edit_config(
        tmp_path / "runs",
        tmp_path / "black.glb",
        prompt="red.glb",
        edit__prompt="black.glb",
        edit__keep="shape",
        edit__region=["auto"],
        prior=prior,
    )
    done = settled(config)
    found = unpacked(done.edit.told["auto"])[VERTICES]
    assert seen_share(build_representation(done), found, truth) > 0.9
    assert settled(done) == done
    beside = replace_region(done, ("auto & box:-9,-9,-9,9,-8,9",))
    with pytest.raises(ConfigError, match="nothing in black"):
        build_representation(beside)


def replace_region(config, region):
    return config.model_copy(update={"edit": config.edit.model_copy(update={"region": region})})


@pytest.mark.slow
@pytest.mark.parametrize("region", ["text:hat", "auto"])
def test_the_embedded_prior_finds_a_hat(tmp_path, region):
    path, mesh = snowman(tmp_path, "snowman", "black")
    truth = (mesh.colors - snowman(tmp_path, "other", "red")[1].colors).abs().sum(1) > 0.1
    config = edit_config(
        tmp_path / "runs",
        path,
        prompt="a snowman with a red hat",
        edit__prompt="a snowman with a black hat",
        edit__keep="shape",
        edit__region=[region],
        representation={"kind": "edited_mesh", "shading": "pbr"},
        prior="embedded",
    )
    done = settled(config)
    assert seen_share(build_representation(done), unpacked(done.edit.told[region])[VERTICES], truth) > 0.85


def test_words_need_a_sentence(tmp_path):
    config = edit_config(
        tmp_path / "runs", splat_file(tmp_path), edit__region=["text:hat"], edit__prompt="", guidance="sds"
    )
    with pytest.raises(ConfigError, match="what the object shows now"):
        create_folder(config)
    assert not (tmp_path / "runs").exists()
