"""ESD through the real engine against closed forms (guidance card O7)."""

from __future__ import annotations

import pytest
import torch
from critic_cases import (
    divergence,
    f64,
    gaussian,
    knows,
    over_renders,
    prior_at,
    random_root,
    slopes,
    step,
)
from guidance_cases import SD, D, Gauss, at, levels, prior_of, random_gauss, random_z, residual_step
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import (
    VIEWS,
    close,
    far,
    few,
    few_each,
    in_every_form,
    indices,
    predictions,
    scales,
    schedules,
    seeds,
    table_of,
)
from sds3d.guidance.exact_critic import ExactCritic, fixed, own_point
from sds3d.guidance.registry import parse

from sds3d.core.errors import ConfigError

shares = st.floats(0.0, 1.0)


def esd_at(index: int, entropy: float, scale: float = 1.0) -> dict:
    return {
        "method": "esd",
        "entropy": entropy,
        "cfg_scale": scale,
        "weight": "uniform",
        "times": at(index),
    }


def vsd_at(index: int, scale: float = 1.0) -> dict:
    return {"method": "vsd", "cfg_scale": scale, "weight": "uniform", "times": at(index)}


def seen_by_cameras(mean, root) -> ExactCritic:
    """Each camera sees a point; all cameras together see N(mean, root root^T)."""
    return ExactCritic(own_point, fixed(gaussian(Gauss(mean, root @ root.T))))


@few
@given(seeds, indices, schedules, predictions, scales, shares)
def test_esd_is_the_formula(seed, index, schedule, prediction, scale, entropy):
    """VSD against each critic apart, mixed with lambda and 1 - lambda."""
    prior, z = prior_of(table_of(seed), schedule, prediction), random_z(seed, VIEWS)
    told, untold = gaussian(random_gauss(seed + 7)), gaussian(random_gauss(seed + 8))
    both = ExactCritic(fixed(told), fixed(untold))
    g, log = step(esd_at(index, entropy, scale), prior, z, both)
    by_told, by_untold = (step(vsd_at(index, scale), prior, z, knows(law))[0] for law in (told, untold))
    torch.testing.assert_close(g, entropy * by_untold + (1 - entropy) * by_told, rtol=1e-6, atol=1e-6)
    asked = (entropy > 0) + (entropy < 1)
    assert log["nfe"] == asked + (scale != 0) + (scale != 1)


@pytest.mark.oracle("O7.1")
@in_every_form
@few_each
@given(seeds, indices, schedules, st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_o7_1_the_mean_gradient_is_that_of_the_objective(prediction, seed, index, schedule, entropy):
    """(sigma / alpha) grad of lambda KL(q_t || p_t) + (1 - lambda) E_c KL(q_t(. | c) || p_t)."""
    p, mean, root = random_gauss(seed), random_z(seed + 1, 1)[0], random_root(seed)
    a, s = levels(index, schedule)
    noise = s * s * torch.eye(D, dtype=f64)
    inverse = torch.linalg.inv(p.marginal(a, s))

    def objective(m, factor):
        spread = a * a * factor @ factor.T
        marginal = divergence(a * m, spread + noise, a * p.mean, p.marginal(a, s))
        a_camera = divergence(a * m, noise, a * p.mean, p.marginal(a, s)) + 0.5 * (inverse @ spread).trace()
        return entropy * marginal + (1 - entropy) * a_camera

    critic = seen_by_cameras(mean, root)
    found = over_renders(esd_at(index, entropy), prior_at(p, schedule, prediction), mean, root, critic)
    wanted = [s / a * slope for slope in slopes(objective, mean, root)]
    close(found[0], wanted[0])
    close(found[1].tril(), wanted[1].tril())
    inverse_q = torch.linalg.inv(a * a * root @ root.T + noise)
    close(found[1], a * s * (inverse - entropy * inverse_q) @ root)


@pytest.mark.oracle("O7.2")
@in_every_form
@few_each
@given(seeds, indices, schedules, scales)
def test_o7_2_without_entropy_it_is_vsd_and_by_single_cameras_sds(prediction, seed, index, schedule, scale):
    prior, z = prior_of(table_of(seed), schedule, prediction), random_z(seed, VIEWS)
    critic = ExactCritic(own_point, fixed(gaussian(random_gauss(seed + 8))))
    g, log = step(esd_at(index, 0.0, scale), prior, z, critic)
    vsd, vsd_log = step(vsd_at(index, scale), prior, z, critic)
    assert torch.equal(g, vsd)
    assert log["nfe"] == vsd_log["nfe"]
    sds, _ = residual_step(vsd_at(index, scale) | {"method": "sds"}, prior, z)
    torch.testing.assert_close(g, sds, rtol=1e-6, atol=1e-6)


@pytest.mark.oracle("O7.1")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o7_1_all_entropy_is_vsd_that_hears_of_no_camera(prediction, seed, index, schedule):
    prior, z = prior_of(table_of(seed), schedule, prediction), random_z(seed, VIEWS)
    untold = gaussian(random_gauss(seed + 8))
    g, _ = step(esd_at(index, 1.0), prior, z, ExactCritic(own_point, fixed(untold)))
    marginal, _ = step(vsd_at(index), prior, z, knows(untold))
    assert torch.equal(g, marginal)


@pytest.mark.oracle("O7.3")
@in_every_form
@few_each
@given(seeds, indices, schedules, st.sampled_from([0.3, 0.5, 0.8, 1.0]), st.floats(0.3, 2.0))
def test_o7_3_the_spread_at_rest(prediction, seed, index, schedule, entropy, variance):
    """L^2 = max(0, lambda S - (1 - lambda) kappa^2); below the threshold every spread shrinks."""
    eye = torch.eye(D, dtype=f64)
    p = Gauss(random_z(seed, 1)[0], variance * eye)
    a, s = levels(index, schedule)
    rest = entropy * variance - (1 - entropy) * (s / a) ** 2

    def force(square):
        root = square**0.5 * eye
        critic = seen_by_cameras(p.mean, root)
        return over_renders(esd_at(index, entropy), prior_at(p, schedule, prediction), p.mean, root, critic)

    if rest > 1e-3:
        moved, spread = force(rest)
        assert float(moved.abs().max()) < 1e-9
        assert float(spread.abs().max()) < 1e-8
        assert bool((force(2.0 * rest)[1].diagonal() > 0).all())
        assert bool((force(0.5 * rest)[1].diagonal() < 0).all())
    elif rest < -1e-3:
        assert all(bool((force(square)[1].diagonal() > 0).all()) for square in (1e-2, 0.3))


@pytest.mark.oracle("O7.4")
@in_every_form
@few_each
@given(seeds, indices, schedules, st.floats(0.05, 1.0))
def test_o7_4_entropy_adds_its_own_gradient(prediction, seed, index, schedule, entropy):
    """g(lambda) - g(0) = -lambda (sigma / alpha) grad H[q_t]."""
    p, mean, root = random_gauss(seed), random_z(seed + 1, 1)[0], random_root(seed)
    a, s = levels(index, schedule)
    noise = s * s * torch.eye(D, dtype=f64)
    critic, prior = seen_by_cameras(mean, root), prior_at(p, schedule, prediction)
    some, none = (
        over_renders(esd_at(index, share), prior, mean, root, critic)[1] for share in (entropy, 0.0)
    )
    slope = slopes(lambda m, f: 0.5 * torch.logdet(a * a * f @ f.T + noise) + 0.0 * m.sum(), mean, root)[1]
    close((some - none).tril(), -entropy * s / a * slope.tril())


@pytest.mark.oracle("O7.5")
@in_every_form
@few_each
@given(seeds, indices, scales, shares)
def test_o7_5_with_one_camera_it_is_vsd(prediction, seed, index, scale, entropy):
    prior, z, critic = (
        prior_of(table_of(seed), SD, prediction),
        random_z(seed, VIEWS),
        knows(gaussian(random_gauss(seed + 3))),
    )
    close(
        step(esd_at(index, entropy, scale), prior, z, critic)[0],
        step(vsd_at(index, scale), prior, z, critic)[0],
    )


@pytest.mark.oracle("OX.10")
@in_every_form
def test_ox_10_lambda_and_the_rest_are_not_swapped(prediction):
    p, mean, root = random_gauss(3), random_z(4, 1)[0], random_root(5)
    critic, prior = seen_by_cameras(mean, root), prior_at(p, SD, prediction)
    right, swapped = (over_renders(esd_at(300, share), prior, mean, root, critic)[1] for share in (0.3, 0.7))
    a, s = levels(300, SD)
    inverse_p = torch.linalg.inv(p.marginal(a, s))
    inverse_q = torch.linalg.inv(a * a * root @ root.T + s * s * torch.eye(D, dtype=f64))
    close(right, a * s * (inverse_p - 0.3 * inverse_q) @ root)
    far(swapped, right)


def test_the_share_may_change_over_the_run():
    prior, z = prior_of(table_of(1)), random_z(1, VIEWS)
    told, untold = gaussian(random_gauss(8)), gaussian(random_gauss(9))
    both = ExactCritic(fixed(told), fixed(untold))
    config = esd_at(300, 0.0) | {"entropy": {"linear": [0.0, 1.0]}}
    for at_step in (0, 3, 9):
        g, _ = step(config, prior, z, both, at_step=at_step)
        close(g, step(esd_at(300, at_step / 10), prior, z, both, at_step=at_step)[0])


@pytest.mark.parametrize("critic", [{"camera_dropout": 0.0}, {"camera": False}])
def test_a_critic_that_was_not_trained_for_it_is_refused(critic):
    with pytest.raises(ConfigError, match=r"critic\.camera_dropout above 0"):
        parse({"method": "esd", "critic": critic})
    parse({"method": "esd", "entropy": 0.0, "critic": critic})
    parse({"method": "vsd", "critic": critic})
