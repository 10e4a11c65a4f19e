"""Wrong implementations of SDS and CSD must be told apart from the right ones (guidance card OX)."""

from __future__ import annotations

import pytest
import torch
from guidance_cases import (
    SD,
    at,
    levels,
    noise_of,
    prior_of,
    random_z,
    residual_step,
)
from oracle_cases import VIEWS, close, csd_by_hand, far, in_every_form, sds_by_hand, table_of
from sds3d.guidance.draws import Strategy

from sds3d.priors.noise_schedule import NoiseSchedule


class Squared(NoiseSchedule):
    """alpha_bar where alpha is meant."""

    def levels(self, t):
        alpha, sigma = super().levels(t)
        return alpha**2, sigma


WRONG = {
    "OX.1 the paper's omega read as s": {"cfg_scale": 6.5},
    "OX.3 another weight": {"weight": "uniform"},
    "OX.13 time read backwards": {"times": at(1000 - 400)},
    "the residual of another step": {"step": 4},
    "the noise of another run": {"seed": 1},
    "OX.14 empty and negative prompt swapped": {"swap": ("null", "neg")},
    "prompt and empty prompt swapped": {"swap": ("y", "null")},
    "OX.2 alpha_bar for alpha": {"schedule": Squared("vp", SD.alpha_bar)},
}


@pytest.mark.oracle("OX.1", "OX.2", "OX.14")
@in_every_form
@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("method", ["sds", "csd"])
def test_negative_controls_differ(prediction, method, name):
    """Each mistake changes the gradient that the oracles above pin down; CSD's omegas avoid the blind spot of OX.14."""
    change = dict(WRONG[name])
    table, z = table_of(2), random_z(2, VIEWS)
    config = {"method": method, "times": at(400)}
    config |= {"cfg_scale": 7.5} if method == "sds" else {"omega1": 1.0, "omega2": 0.8}
    right = sds_by_hand(table, z, 400, SD, 7.5, noise_of(0, 3, [0, 1]))
    if method == "csd":
        right = csd_by_hand(table, z, 400, SD, 1.0, 0.8, noise_of(0, 3, [0, 1]))
    right = float(1 - SD.alpha_bar[400]) * right
    found, _ = residual_step(config, prior_of(table, SD, prediction), z)
    close(found, right)
    if method == "csd" and "cfg_scale" in change:
        change = {"omega1": 0.0}
    a, b = change.pop("swap", ("y", "y"))
    run = {k: change.pop(k) for k in ("step", "seed") if k in change}
    swapped = table | {a: table[b], b: table[a]}
    prior = prior_of(swapped, change.pop("schedule", SD), prediction)
    wrong, _ = residual_step(config | change, prior, z, **run)
    if method == "sds" and (a, b) == ("null", "neg"):
        far(wrong, right)  # the negative prompt in the empty slot is another method
    far(wrong, right)


@pytest.mark.oracle("OX.14")
@in_every_form
def test_ox_14_blind_spot(prediction):
    """At omega2 = omega1 / 2 the swap cannot be seen: this is why the tests use other ratios."""
    table, z = table_of(2), random_z(2, VIEWS)
    swapped = table | {"null": table["neg"], "neg": table["null"]}
    config = {"method": "csd", "omega1": 1.0, "omega2": 0.5, "times": at(400)}
    close(
        residual_step(config, prior_of(table, SD, prediction), z)[0],
        residual_step(config, prior_of(swapped, SD, prediction), z)[0],
    )


@pytest.mark.oracle("OX.6")
@in_every_form
def test_ox_6_no_gradient_leaks_through_the_network(prediction):
    """With the Jacobian of the network the residual would be a s C^-1 (eps_hat - eps)."""
    table, z = table_of(4), random_z(4, VIEWS)
    a, s = levels(400, SD)
    config = {"cfg_scale": 1, "weight": "uniform", "times": at(400)}
    g, _ = residual_step(config, prior_of(table, SD, prediction), z.clone().requires_grad_())
    leaked = g @ torch.linalg.inv(table["y"].marginal(a, s)) * a * s
    right = sds_by_hand(table, z, 400, SD, 1, noise_of(0, 3, [0, 1]))
    close(g, right)
    far(leaked, right)
    assert not g.requires_grad


@pytest.mark.oracle("OX.3")
@in_every_form
@pytest.mark.parametrize("method", ["sds", "csd", "nfsd"])
def test_ox_3_one_minus_alpha_is_another_weight(prediction, method):
    """1 - alpha in the place of 1 - alpha_bar, as a public unified guidance has it: off by 1 + alpha."""
    table, z = table_of(4), random_z(4, VIEWS)
    found, _ = residual_step({"method": method, "times": at(400)}, prior_of(table, SD, prediction), z)
    plain, _ = residual_step(
        {"method": method, "times": at(400), "weight": "uniform"}, prior_of(table, SD, prediction), z
    )
    bar = float(SD.alpha_bar[400])
    close(found, (1 - bar) * plain)
    far((1 - bar**0.5) * plain, found)
    close((1 - bar**0.5) * plain * (1 + bar**0.5), found)


@pytest.mark.oracle("OX.12")
def test_ox_12_the_worst_draws_are_pushed_away():
    """Without the negative group the weights add up to more, and the step is another."""
    rewards = torch.randn(10, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    right, wrong = Strategy()(rewards), Strategy(low=0.0)(rewards)
    assert int((right < 0).sum()) == 2 * 3
    assert int((wrong < 0).sum()) == 0
    close(right.sum(0) + 0.1, wrong.sum(0))
    far((wrong * rewards).sum(0), (right * rewards).sum(0))


@pytest.mark.oracle("OX.13")
@in_every_form
def test_ox_13_a_flows_table_read_from_the_wrong_end(prediction):
    """Index 300 of a descending table of shift 3 is sigma 0.875; read from the other end it is another noise level."""
    flow = NoiseSchedule("rf", shift=3.0)
    descending = [float(flow.sigma(torch.tensor([1 - k / 1000], dtype=torch.float64))) for k in range(1000)]
    assert descending[300] == pytest.approx(0.875)
    assert descending[980] == pytest.approx(0.0577, abs=1e-4)
    ascending = float(flow.sigma(torch.tensor([0.3], dtype=torch.float64)))
    assert ascending == pytest.approx(0.5625)
    table, z = table_of(6), random_z(6, VIEWS)
    right, wrong = (
        residual_step(
            {"times": {"low": t, "high": t, "scale": "native"}}, prior_of(table, flow, prediction), z
        )[0]
        for t in (0.7, 0.3)
    )
    far(wrong, right)
