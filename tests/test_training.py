"""Training the embedded prior, in miniature: layers, batches, the loop's resume, the model folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from sds3d.core.cameras import orbit
from sds3d.core.errors import Sds3dError, StopRequested
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.objects.catalogue import find
from sds3d.objects.shape import build, from_parts
from sds3d.objects.solids import sphere
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.embedded import Options, load_folder
from sds3d.training import layers
from sds3d.training.batches import Batches
from sds3d.training.contrast import contrastive_loss, one_word_away
from sds3d.training.denoising import Noising, PixelLoss
from sds3d.training.loop import fit, learning_rate
from sds3d.training.network import make_unet, save_model
from sds3d.training.options import NetworkOptions, PictureOptions, TextOptions, TrainOptions
from sds3d.training.plan import plan
from sds3d.training.render import open_set, render_set
from sds3d.training.run import prepare_scorer
from sds3d.training.sampling import ddim

KINDS = ("cube", "mug", "duck", "table", "bowl")
PICTURES = PictureOptions(kinds=KINDS, per_kind=4, per_relation=4, of_three=2, size=16)
NETWORK = NetworkOptions(size=16, unshuffle=2, channels=(8, 16), attention=(False, True))
TEXT = TextOptions(steps=3, batch=4, size=16, channels=(8, 8), strides=(2, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A rendered set and a barely trained text tower."""
    path = tmp_path_factory.mktemp("training")
    render_set(PICTURES, path / "pictures")
    options = TrainOptions(folder=path, pictures=PICTURES, text=TEXT)
    prepare_scorer(options, TEXT, path / "tower", print)
    return path


def options_in(folder: Path, **more) -> TrainOptions:
    """A run of a few steps whose checkpoints go to `folder`."""
    return TrainOptions(
        folder=folder, pictures=PICTURES, text=TEXT, network=NETWORK, batch=4, images=48, save_every_s=1e9,
        preview_every_s=1e9, precision="float32", **more,
    )  # fmt: skip


def run(folder: Path, where: Path, stop_after: int | None = None, **more):
    """Train in `where` with the pictures and tower of `folder`; returns (state hash, averaged network)."""
    options = options_in(where, **more)
    tower = prepare_scorer(options_in(folder), TEXT, folder / "tower", print)
    pictures = open_set(PICTURES, folder / "pictures")
    batches = Batches(*pictures, Streams(0), 16)
    calls = iter(range(10**6))
    stop = (lambda: False) if stop_after is None else (lambda: next(calls) >= stop_after)
    loss = PixelLoss(options, batches, tower)
    averaged = fit(options, where, make_unet(NETWORK, 0), loss, stop, lambda p: None, lambda u, s: None)
    return CheckpointStore(where / "checkpoints").latest().hash(), averaged, tower


@pytest.mark.parametrize(
    "more", [{}, {"optimizer": "muon"}, {"shares": 2}, {"optimizer": "muon", "shares": 3}]
)
def test_a_stopped_run_ends_in_the_same_bits(folder, tmp_path, more):
    whole, *_ = run(folder, tmp_path / "whole", **more)
    part, *_ = run(folder, tmp_path / "part", stop_after=5, **more)
    assert part != whole
    resumed, *_ = run(folder, tmp_path / "part", **more)
    assert resumed == whole


@pytest.mark.parametrize("others", [("adamw", "muon"), ("muon", "adamw")])
def test_a_run_does_not_go_on_with_another_optimizer(folder, tmp_path, others):
    run(folder, tmp_path, stop_after=2, optimizer=others[0])
    with pytest.raises(Sds3dError, match="began with another network, prediction or optimizer"):
        run(folder, tmp_path, optimizer=others[1])


@pytest.mark.parametrize("count", [2, 3, 4])
def test_shares_add_up_to_the_loss_and_its_gradient(folder, count):
    options = options_in(folder)
    tower = prepare_scorer(options, TEXT, folder / "tower", print)
    loss = PixelLoss(options, Batches(*open_set(PICTURES, folder / "pictures"), Streams(0), 16), tower)
    unet = make_unet(NETWORK, 0).requires_grad_(True)
    whole = loss(unet, 5)
    parts = [share(unet) for share in loss.shares(5, count)]
    assert len(parts) == count
    torch.testing.assert_close(torch.stack(parts).sum(), whole)
    weights = list(unet.parameters())
    ours = torch.autograd.grad(torch.stack(parts).sum(), weights)
    for mine, exact in zip(ours, torch.autograd.grad(whole, weights), strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-4, atol=1e-6)


def test_a_loss_that_cannot_be_shared_says_so(folder, tmp_path):
    with pytest.raises(Sds3dError, match="shares: only the pixel model"):
        fit(
            options_in(tmp_path, shares=2), tmp_path, torch.nn.Linear(2, 2), lambda n, s: n.weight.sum(), lambda: False,
            lambda p: None, lambda u, s: None,
        )  # fmt: skip


def test_a_text_tower_can_be_stopped(folder, tmp_path):
    """It used to go on to its end whatever the signal."""
    options = options_in(folder).model_copy(update={"parts": folder})
    with pytest.raises(StopRequested, match="step 0 of 3"):
        prepare_scorer(options, TEXT, tmp_path / "tower", print, lambda: True)
    assert not (tmp_path / "tower").exists()


def test_a_trained_folder_is_a_prior(folder, tmp_path):
    _, averaged, tower = run(folder, tmp_path / "run")
    save_model(averaged, tower, NETWORK, tmp_path / "model")
    prior = load_folder(tmp_path / "model", Options(precision="float32"))
    assert prior.info.size == (16, 16)
    look = Look(orbit([30.0], [20.0]), (16, 16), torch.ones(1, 3))
    cond = prior.condition(prior.prepare(Prompts("a red cube")), look, {})
    assert cond["y"].tensors["class_labels"].shape[1] == 2 * (4 + 2) + 5 + 128
    assert not torch.equal(cond["y"].tensors["class_labels"], cond["null"].tensors["class_labels"])
    pictures = ddim(prior, ["a red cube", "a white mug"], orbit([0.0, 90.0], 10.0), torch.ones(2, 3), 3)
    assert pictures.shape == (2, 3, 16, 16)
    assert bool(torch.isfinite(pictures).all())
    assert next(averaged.parameters()).dtype == torch.float32, "saving leaves the network as it is"


def test_layers_are_the_shaded_object():
    """Colours poured into layers give what shading the colours gives; coverage matches the silhouette."""
    got = layers.render_layers(build(find("mushroom")), 30.0, 20.0, 32)
    assert got.shape == (32, 32, 8)
    red, white = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.9, 0.9, 0.9])
    colours = torch.stack([red, white, red])[None]
    on_white = layers.compose(got[None], colours, torch.zeros(1), torch.ones(1, 3))
    on_black = layers.compose(got[None], colours, torch.zeros(1), torch.zeros(1, 3))
    cover = got[..., 7]
    assert torch.allclose(on_white - on_black, (1 - cover).expand(1, 3, -1, -1), atol=1e-6)
    full = (cover == 1) & (got[..., 1] == 0)
    ratio = on_black[0][:, full] / red[:, None]
    assert torch.allclose(ratio[0], ratio[1], atol=1e-5), "the main paint is shade times colour"
    assert float(ratio.max()) <= layers.SHADE_LIMIT + 1e-5
    assert torch.allclose(got[..., :2].sum(-1)[cover == 0], torch.zeros(()))


@pytest.mark.parametrize("pattern", ["striped", "checked", "dotted"])
def test_a_pattern_moves_main_shade_to_the_third_layer(pattern):
    plain = layers.render_layers(build(find("mug")), 10.0, 30.0, 32)
    patterned = layers.render_layers(build(find("mug")), 10.0, 30.0, 32, pattern)
    assert torch.allclose(patterned[..., 0] + patterned[..., 2], plain[..., 0], atol=1e-6)
    share = float(patterned[..., 2].sum() / plain[..., 0].sum())
    assert 0.1 < share < 0.9


def test_the_left_of_the_picture_is_the_left_of_the_object():
    """What is at +x is right in the front view, left seen from behind."""
    ball = from_parts([(sphere(0.2).at(0.5), "main")])
    front, back = (layers.render_layers(ball, azimuth, 0.0, 32)[..., 7] for azimuth in (0.0, 180.0))
    columns = torch.arange(32) - 15.5
    assert float((front.sum(0) * columns).sum()) > 0 > float((back.sum(0) * columns).sum())


def test_rendering_goes_on_where_it_stopped(folder, tmp_path):
    before = (folder / "pictures" / "pictures.npy").read_bytes()
    render_set(PICTURES, tmp_path)
    assert (tmp_path / "pictures.npy").read_bytes() == before, "the same pictures from the same seed"
    other = PICTURES.model_copy(update={"seed": 1})
    with pytest.raises(Sds3dError, match="no complete set"):
        open_set(other, tmp_path)


def test_batches_repeat_and_keep_out_what_is_held_out(folder):
    stack, pictures = open_set(PICTURES, folder / "pictures")
    batches = Batches(stack, pictures, Streams(0), 16)
    first, again, other = batches.draw(3, 6), batches.draw(3, 6), batches.draw(4, 6)
    assert torch.equal(first.rgb, again.rgb)
    assert first.captions == again.captions
    assert not torch.equal(first.rgb, other.rgb)
    held = [i for i, p in enumerate(pictures) if p.held_out]
    assert not set(held) & {*batches.single, *batches.several}
    assert set(Batches(stack, pictures, Streams(0), 16, every_pair=True).several) >= set(held)
    half = Batches(stack, pictures, Streams(0), 8).draw(3, 6)
    assert torch.allclose(half.rgb, torch.nn.functional.avg_pool2d(first.rgb, 2), atol=0.02)
    # the judge's 48 is no divisor of 64
    assert Batches(stack, pictures, Streams(0), 12).draw(3, 6).rgb.shape == (6, 3, 12, 12)


def test_plan_names_every_kind_and_relation():
    pictures = plan(PICTURES)
    assert {p.subject.kinds[0].name for p in pictures if len(p.subject.kinds) == 1} == set(KINDS)
    assert {p.subject.relation for p in pictures} == {None, "on", "next to", "under", "inside"}
    assert all(-10 <= p.elevation_deg <= 70 for p in pictures)


def test_learning_rate_is_steady_then_falls():
    options = TrainOptions(learning_rate=2.0, decay_share=0.25)
    rates = [learning_rate(options, s, 10_000) for s in (0, 199, 5000, 7500, 8750, 9999)]
    assert rates == pytest.approx([2 / 200, 2.0, 2.0, 2.0, 1.0, 0.04])


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_the_weight_of_a_time_is_one_where_noise_prevails(power):
    options = TrainOptions(clear_power=power, batch=64)
    noising = Noising(options)
    drawn = noising.drawn(3)
    noised = noising.noised(torch.ones(64, 3, 2, 2), drawn, 3)
    sigma2 = 1 - noising.alpha[noised.index] ** 2
    assert torch.all(noised.weight[sigma2 >= 0.5] == 1)
    assert torch.allclose(noised.weight[sigma2 < 0.5], (2 * sigma2[sigma2 < 0.5]) ** power, atol=1e-4)
    off = torch.zeros(64, 3, 2, 2)
    off[5] = 2.0
    assert noised.loss(noised.target + off) == pytest.approx(float(noised.weight[5]) * 4 / 64, rel=1e-3)


def test_contrastive_loss_limits():
    """Perfect agreement at a high scale costs nothing; equal captions share; a confusing wrong caption costs ln 2."""
    eye = torch.eye(4)
    names, scale = ["a", "b", "c", "d"], torch.tensor(100.0)
    assert float(contrastive_loss(eye, eye, names, scale)) < 1e-6
    shared = torch.stack([eye[0], eye[0], eye[2], eye[3]])
    assert float(contrastive_loss(shared, shared, ["a", "a", "c", "d"], scale)) == pytest.approx(
        np.log(2) / 2, rel=1e-4
    )
    confusing = torch.cat([eye, eye])
    assert float(contrastive_loss(eye, confusing, names, scale)) == pytest.approx(np.log(2) / 2, rel=1e-4)


@pytest.mark.parametrize(
    "caption", ["a red cube", "an orange cube on a green mug, back view", "a duck", "a 3d render of a mug"]
)
def test_one_word_away_changes_one_word_and_its_article(caption):
    kinds = [find(name) for name in (*KINDS, "owl")]
    for u in (0.0, 0.3, 0.6, 0.9):
        for v in (0.1, 0.45, 0.7, 0.95):
            words, changed = caption.split(), one_word_away(caption, kinds, (u, v)).split()
            assert len(words) == len(changed)
            both = list(zip(words, changed, strict=True))
            assert sum(a != b and a not in ("a", "an") for a, b in both) == 1
            for before, after in pairwise(changed):
                assert before != ("a" if after in ("orange", "owl") else "an"), changed


def test_weights_come_from_the_seed():
    state = torch.random.get_rng_state()
    one = make_unet(NETWORK, 3).state_dict()
    torch.random.set_rng_state(state)
    torch.rand(5)
    two, other = make_unet(NETWORK, 3).state_dict(), make_unet(NETWORK, 4).state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_threads_that_are_made_after_a_run_in_parts_are_as_before(folder, tmp_path):
    def count() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    own = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert count() == 3
        run(folder, tmp_path, stop_after=2, shares=3)
        assert (count(), torch.get_num_threads()) == (3, 3)
    finally:
        torch.set_num_threads(own)
