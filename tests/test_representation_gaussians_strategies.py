"""Densification and MCMC: what stays the same, what moves, and that a step can be replayed."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian_models import Fit, Ledger, look_from, one_gaussian, small_model
from hypothesis import given
from hypothesis import strategies as st
from sds3d.representations.gaussians.covariance import times_covariance, times_root
from sds3d.representations.gaussians.densify import Densify
from sds3d.representations.gaussians.mcmc import Mcmc, copies, draw, shake, share
from sds3d.representations.gaussians.options import DensifyOptions, McmcOptions
from sds3d.representations.gaussians.parameters import logit
from sds3d.representations.gaussians.strategy import Between
from sds3d.representations.raster.gaussians_twin import covariance_matrix

from sds3d.core.cameras import turntable
from sds3d.core.streams import Streams
from sds3d.core.tree import join, split, tree_hash

ALWAYS = {"every": 1, "start": 0.0, "stop": 1.0}


def fake_render(count: int, pull: torch.Tensor, views: int = 2, side: int = 16) -> dict:
    """A render in which Gaussian i was pulled by pull[i] pixels in every view and seen in all."""
    means2d = torch.zeros(views, count, 2, requires_grad=True)
    means2d.grad = torch.stack([pull, torch.zeros(count)], dim=1).expand(views, count, 2).clone()
    return {
        "means2d": means2d,
        "radii": torch.full((views, count), 2, dtype=torch.int32),
        "rgb": torch.zeros(views, 3, side, side),
    }


def between(render: dict, moments=None, step: int = 0, total: int = 10) -> Between:
    return Between(step, total, 1e-3, render, moments or Ledger(), Streams(0))


def densified(model, pull, **options):
    """One round of densification; the parameters, the ledger, the strategy."""
    strategy, ledger = Densify(DensifyOptions(**ALWAYS | options), len(model.parameters)), Ledger()
    new, _ = strategy.after_step(model.parameters, between(fake_render(len(model.parameters), pull), ledger))
    return new, ledger, strategy


def test_clone_keeps_the_picture():
    model = one_gaussian(opacity=0.7, scale=0.03)
    look = look_from(turntable(2), 65)
    before = model.render(look)
    model.parameters, _, strategy = densified(model, torch.ones(1), split_scale=0.1, gradient=0.5)
    assert (strategy.cloned, strategy.split) == (1, 0)
    assert torch.allclose(model.parameters.means, torch.zeros(2, 3))
    after = model.render(look)
    # at the centre exactly; around it 1 - (1 - o'g)² is a little more than o g, at most 0.1 here
    assert after["alpha"].max() == pytest.approx(before["alpha"].max().item(), abs=2e-3)
    assert (after["alpha"] - before["alpha"]).abs().max() < 0.1
    doubled, _, _ = densified(one_gaussian(0.7, 0.03), torch.ones(1), gradient=0.5, keep_opacity=False)
    model.parameters = doubled
    assert model.render(look)["alpha"].max() > before["alpha"].max() + 0.1


def test_split_makes_two_smaller_ones_drawn_from_the_old():
    model = small_model(count=200)
    p = model.parameters
    p.rotations.copy_(Streams(2).normal((200, 4), "turn")[0])
    p.log_scales[:, 0] += 1.0
    new, ledger, strategy = densified(
        model, torch.ones(200), gradient=0.5, split_scale=1e-3, prune_opacity=0.0
    )
    assert (strategy.cloned, strategy.split, len(new)) == (0, 200, 400)
    assert torch.allclose(new.scales, p.scales.repeat(2, 1) / 1.6)
    offset = (new.means - p.means.repeat(2, 1)).double()
    covariance = covariance_matrix(p.scales, p.rotations).double().repeat(2, 1, 1)
    # squared Mahalanobis distances of samples follow chi² with three degrees of freedom: mean 3
    distance = torch.einsum("ni,nij,nj->n", offset, covariance.inverse(), offset)
    assert distance.mean() == pytest.approx(3.0, abs=0.4)
    assert not torch.allclose(offset[:200], offset[200:])
    assert all((rows == -1).all() for rows in ledger.rows["means"])


def test_only_those_above_the_threshold_and_moments_follow_rows():
    model = small_model(count=5)
    pull = torch.tensor([0.0, 5.0, 1.0, 9.0, 1.0])
    new, ledger, _ = densified(model, pull, gradient=1.2, split_scale=1.0)  # the mean is 3.2
    assert len(new) == 7
    assert set(ledger.rows) == set(model.parameters.named())
    assert all(rows[0].tolist() == [0, 1, 2, 3, 4, -1, -1] for rows in ledger.rows.values())
    assert torch.equal(new.means[5:], model.parameters.means[[1, 3]])
    untouched = [0, 2, 4]
    assert torch.equal(new.logit_opacities[untouched], model.parameters.logit_opacities[untouched])


def test_absolute_threshold_is_of_the_loss_of_one_view_by_half_image_width():
    model = small_model(count=2)
    # pull 0.25 a pixel, summed over 2 views, on 16 px: 0.25 · 2 views · 8 px = 4
    pull = torch.tensor([0.25, 0.2])
    for threshold, expected in ((3.9, 3), (4.1, 2)):
        new, _, _ = densified(model, pull, gradient=threshold, gradient_unit="absolute", split_scale=1.0)
        assert len(new) == expected


def test_the_cap_takes_the_most_pulled_first():
    model = small_model(count=6)
    pull = torch.tensor([3.0, 6.0, 4.0, 0.0, 5.0, 0.0])
    new, _, _ = densified(model, pull, gradient=0.5, cap=8, split_scale=1.0)
    assert len(new) == 8
    assert torch.equal(new.means[6:], model.parameters.means[[1, 4]])
    again, _, _ = densified(model, pull, gradient=0.5, cap=3)
    assert len(again) == 6  # a cap below the present number removes nothing


def test_faint_and_oversized_gaussians_go_and_the_last_one_stays():
    model = small_model(count=4)
    p = model.parameters
    p.logit_opacities[0] = -8.0
    p.log_scales[1] = math.log(2.0)
    new, ledger, strategy = densified(model, torch.zeros(4), gradient=9.0)
    assert torch.equal(new.means, p.means[2:])
    assert ledger.rows["sh_dc"][-1].tolist() == [2, 3]
    assert strategy.pruned == 2
    p.logit_opacities[:] = torch.tensor([-9.0, -8.0, -7.0, -8.5])
    survivor, _, _ = densified(model, torch.zeros(4))
    assert torch.equal(survivor.means, p.means[[2]])


def test_large_on_the_screen_goes():
    model = small_model(count=3)
    strategy, render = Densify(DensifyOptions(**ALWAYS), 3), fake_render(3, torch.zeros(3))
    render["radii"][1, 2] = 9  # of 16 pixels
    new, _ = strategy.after_step(model.parameters, between(render))
    assert torch.equal(new.means, model.parameters.means[:2])


def test_gaussians_that_no_camera_saw_are_left_alone():
    model = small_model(count=3)
    strategy, render = Densify(DensifyOptions(**ALWAYS, gradient=0.5), 3), fake_render(3, torch.zeros(3))
    render["radii"][:], render["means2d"].grad = 0, None
    new, _ = strategy.after_step(model.parameters, between(render))
    assert torch.equal(new.means, model.parameters.means)


def test_rounds_come_when_they_are_due_and_accumulate_between():
    model = small_model(count=2)
    strategy = Densify(DensifyOptions(every=3, start=0.3, stop=0.65, gradient=0.5, split_scale=1.0), 2)
    sizes, p = [], model.parameters
    for step in range(10):
        p, _ = strategy.after_step(p, between(fake_render(len(p), torch.ones(len(p))), step=step))
        sizes.append(len(p))
    assert sizes == [2, 2, 4, 4, 4, 8, 8, 8, 8, 8]
    assert strategy.seen.sum() == 0  # nothing is gathered after the last round


def test_opacity_reset_lowers_and_forgets():
    model, ledger = small_model(count=3), Ledger()
    model.parameters.logit_opacities[0] = -3.5
    options = DensifyOptions(**ALWAYS | {"every": 1000}, reset_every=2, reset_opacity=0.1)
    strategy = Densify(options, 3)
    new, _ = strategy.after_step(model.parameters, between(fake_render(3, torch.zeros(3)), ledger, step=1))
    expected = torch.tensor([torch.sigmoid(torch.tensor(-3.5)), 0.1, 0.1])
    assert torch.allclose(new.opacities, expected)
    assert ledger.forgotten == ["logit_opacities"]


def one_dimensional(opacity: float, scale: float, copies: int) -> torch.Tensor:
    """Alpha along a line through the centre of `copies` equal Gaussians on one spot, composited one by one."""
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    through = torch.ones_like(x)
    for _ in range(copies):
        through = through * (1 - opacity * torch.exp(-0.5 * (x / scale) ** 2))
    return 1 - through


@given(st.floats(0.01, 0.99), st.integers(1, 20))
def test_shared_opacity_and_scale_keep_centre_and_integral(opacity, count):
    shared, factor = share(torch.tensor([opacity]), torch.tensor([count]))
    before = one_dimensional(opacity, 1.0, 1)
    after = one_dimensional(float(shared), float(factor), count)
    assert after.max() == pytest.approx(before.max().item(), rel=1e-5)
    assert after.sum() == pytest.approx(before.sum().item(), rel=1e-4)


def test_share_is_stable_for_many_copies_and_exact_for_one():
    shared, factor = share(torch.tensor([0.999, 0.5]), torch.tensor([500, 1]))
    assert 0 < shared[0] < 0.2
    assert 0.1 < factor[0] < 1.0
    assert shared[1] == pytest.approx(0.5)
    assert factor[1] == pytest.approx(1.0)


def test_copies_render_as_the_original_did():
    model = one_gaussian(opacity=0.9, scale=0.1)
    look = look_from(turntable(1), 65)
    before = model.render(look)["alpha"]
    new, touched = copies(model.parameters, torch.zeros(5, dtype=torch.int64))
    model.parameters = new
    assert touched.tolist() == [0, 1, 2, 3, 4]
    after = model.render(look)["alpha"]
    assert after.max() == pytest.approx(before.max().item(), abs=2e-3)
    assert (after - before).abs().max() < 0.12
    # along the line through the centre the paper's correction keeps the sum
    assert after[0, 0, 32].sum() == pytest.approx(before[0, 0, 32].sum().item(), rel=0.05)


def test_dead_move_onto_living_and_moments_restart():
    model, ledger = small_model(count=6), Ledger()
    p = model.parameters
    p.logit_opacities[:] = logit(torch.tensor([0.001, 0.5, 0.01, 0.8, 0.5, 0.001]))
    strategy = Mcmc(McmcOptions(**ALWAYS, grow=1.0, noise=0))
    new, metrics = strategy.after_step(p, between({}, ledger))
    assert metrics == {"relocated": 3.0, "added": 0.0}
    source = torch.cdist(new.means, p.means).argmin(1)
    assert all(int(s) in (1, 3, 4) for s in source[[0, 2, 5]])
    rows = ledger.rows["means"][0]
    moved = {0, 2, 5, *source[[0, 2, 5]].tolist()}
    assert all(rows[i] == (-1 if i in moved else i) for i in range(6))
    lost = 1 - new.opacities
    for s in set(source.tolist()):  # together the copies cover as the one did
        assert 1 - lost[source == s].prod() == pytest.approx(float(p.opacities[s]), abs=1e-4)


def test_growth_stops_at_the_cap_and_all_dead_stay():
    strategy, p = Mcmc(McmcOptions(**ALWAYS, grow=1.5, cap=70, noise=0)), small_model(count=40).parameters
    sizes = []
    for step in range(4):
        p, _ = strategy.after_step(p, between({}, step=step))
        sizes.append(len(p))
    assert sizes == [60, 70, 70, 70]
    p.logit_opacities[:] = -9.0
    still, _ = Mcmc(McmcOptions(**ALWAYS, grow=1.0, noise=0)).after_step(p, between({}))
    assert torch.equal(still.means, p.means)


def test_draws_follow_the_weights():
    u = Streams(0).uniform((20_000,), "draw")[0]
    counts = torch.bincount(draw(torch.tensor([0.1, 0.0, 0.6, 0.3]), u), minlength=4) / 20_000
    assert counts.tolist() == pytest.approx([0.1, 0.0, 0.6, 0.3], abs=0.015)


def test_noise_shakes_the_faint_along_their_shape():
    p = small_model(count=4000).parameters
    p.log_scales[:] = torch.tensor([0.5, 0.1, 0.1]).log()
    p.rotations[:] = torch.tensor([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])  # x axis onto y
    p.logit_opacities[:2000] = -20.0
    moved = (shake(p, 1.0, Streams(0), 3).means - p.means)[:2000]
    gate = 1 / (1 + math.exp(-0.5))  # sigmoid(-100 (0 - 0.005))
    assert moved.std(0).tolist() == pytest.approx([0.01 * gate, 0.25 * gate, 0.01 * gate], rel=0.08)
    still = (shake(p, 1.0, Streams(0), 3).means - p.means)[2000:]
    assert still.abs().max() < 1e-6
    assert torch.equal(shake(p, 1.0, Streams(0), 3).means, shake(p, 1.0, Streams(0), 3).means)
    assert not torch.equal(shake(p, 1.0, Streams(0), 4).means, shake(p, 1.0, Streams(0), 3).means)


def test_covariance_products_agree_with_the_matrix():
    p = small_model(count=30).parameters
    p.rotations.copy_(Streams(2).normal((30, 4), "turn")[0])
    p.log_scales.add_(Streams(2).normal((30, 3), "scale")[0])
    v = Streams(2).normal((30, 3), "v")[0]
    matrix = covariance_matrix(p.scales, p.rotations)
    assert torch.allclose(times_covariance(p, v), torch.einsum("nij,nj->ni", matrix, v), rtol=1e-4)
    # R S v has length² vᵀ S² v; and its sum over the axes of outer products is the covariance
    axes = [times_root(p, torch.eye(3)[i].expand(30, 3)) for i in range(3)]
    assert torch.allclose(sum(a[:, :, None] * a[:, None] for a in axes), matrix, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "densify", "densify": {"every": 4, "start": 0, "gradient": 0.8, "reset_every": 9}},
        {"strategy": "mcmc", "mcmc": {"every": 4, "start": 0, "grow": 1.2, "dead_opacity": 0.2}},
    ],
)
def test_resume_in_the_middle_is_bit_identical(options):
    total, stop = 20, 6  # between two rounds, with accumulators half full
    whole = Fit(small_model(count=60, **options), total, side=16)
    whole.run(0, stop)
    tensors, plain = split(whole.state())
    saved = join({k: v.clone() for k, v in tensors.items()}, plain)
    whole.run(stop, total)
    assert len(whole.model.parameters) > 60
    resumed = Fit(small_model(seed=5, count=7, **options), total, side=16)
    resumed.model.load_state_dict(saved["model"])
    resumed.adam.load_state_dict(saved["adam"])
    resumed.run(stop, total)
    assert tree_hash(resumed.state()) == tree_hash(whole.state())
    # and every random number counts: another seed ends elsewhere
    other = Fit(small_model(count=60, **options), total, seed=1, side=16)
    other.run(0, total)
    assert tree_hash(other.state()) != tree_hash(whole.state())


@pytest.mark.parametrize("strategy", ["densify", "mcmc"])
def test_a_model_driven_to_nothing_still_renders(strategy):
    options = {"every": 2, "start": 0.0, "stop": 1.0}
    fit = Fit(small_model(count=20, opacity=1e3, strategy=strategy, **{strategy: options}), 100, side=8)
    fit.model.parameters.logit_opacities[:] = -6.0
    fit.run(0, 12)
    assert len(fit.model.parameters) >= 1
    assert torch.isfinite(fit.model.render(look_from(turntable(1), 8))["rgb"]).all()
