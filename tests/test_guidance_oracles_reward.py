"""RewardSDS through the real engine against closed forms (guidance card O9)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from guidance_cases import RF, SD, SHAPE, at, levels, noise_of, prior_of, random_z, views_of
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
    schedules,
    sds_by_hand,
    seeds,
    table_of,
)
from sds3d.guidance.build import bind, build_guidance
from sds3d.guidance.draws import NORMALISE, STRATEGIES, Strategy
from sds3d.guidance.registry import parse, preset
from sds3d.guidance.reward_options import RewardOptions
from sds3d.guidance.rewards import LinearReward

from sds3d.core.errors import ConfigError
from sds3d.core.streams import Streams

E_MAX = {2: 0.5642, 3: 0.8463, 4: 1.0294, 5: 1.1630, 7: 1.3522, 10: 1.5388}
"""Expected largest of N standard normal numbers."""
f64 = torch.float64
counts = st.sampled_from([4, 5, 7])


def direction(seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed + 9)
    return torch.randn(3, generator=g, dtype=f64)


def of_reward(config):
    """The config with the reward's own keys moved to where they belong."""
    own = {k: v for k, v in config.items() if k in RewardOptions.model_fields}
    return {"method": "rewardsds"} | {k: v for k, v in config.items() if k not in own} | {"reward": own}


def step_of(config, prior, z, reward, *, step=3, steps=100, ids=None, group=None):
    """((B, D) g before the division by B, log) with a linear reward in the place of the model."""
    options = parse(of_reward({"weight": "uniform", "rollout_steps": 1} | config))
    recipe = preset(options.method)(options)
    weights = replace(recipe.draw_weights, reward=LinearReward(reward.view(SHAPE)))
    engine = bind(replace(recipe, draw_weights=weights), prior, steps)
    cotangents, _, log = engine.guide(views_of(prior, z, ids, group), step, Streams(0), {})
    return cotangents["z"].flatten(1) * len(z), log


def draws_by_hand(table, z, index, schedule, s, count, reward, guess=1.0):
    """(N, B, D) SDS residuals and (N, B) linear rewards of the one-step x0."""
    a, sigma = levels(index, schedule)
    residuals, rewards = [], []
    for d in range(count):
        eps = noise_of(0, 3, list(range(len(z))), d)
        x = a * z + sigma * eps
        residuals.append(sds_by_hand(table, z, index, schedule, s, eps))
        x0 = table["null"].x0(x, a, sigma) * (1 - guess) + guess * table["y"].x0(x, a, sigma)
        rewards.append(x0 @ reward)
    return torch.stack(residuals), torch.stack(rewards)


def minmax_by_hand(rewards, residuals, high=0.9, low=0.1):
    """high times the mean of the two best residuals minus low times that of the two worst, one view at a time."""
    out = []
    for view in range(rewards.shape[1]):
        order = sorted(range(len(rewards)), key=lambda d: -float(rewards[d, view]))
        best, worst = (torch.stack([residuals[d, view] for d in part]) for part in (order[:2], order[-2:]))
        out.append(high * best.mean(0) - low * worst.mean(0))
    return torch.stack(out)


@pytest.mark.oracle("O9.1")
@in_every_form
@few_each
@given(seeds, indices, schedules, st.floats(0.0, 20.0), st.floats(0.5, 8.0), counts)
def test_o9_1_weighted_sum_of_residuals(prediction, seed, index, schedule, s, guess, count):
    table, z, reward = table_of(seed), random_z(seed, VIEWS), direction(seed)
    config = {"cfg_scale": s, "rollout_scale": guess, "draws": count, "times": at(index)}
    g, log = step_of(config, prior_of(table, schedule, prediction), z, reward)
    residuals, rewards = draws_by_hand(table, z, index, schedule, s, count, reward, guess)
    scale = 1e-6 * float(residuals.abs().max())
    torch.testing.assert_close(g, minmax_by_hand(rewards, residuals), rtol=1e-6, atol=scale)
    assert log["nfe"] == (2 if guess != 1.0 or s not in (0.0, 1.0) else 1) * count
    assert log["reward"] == pytest.approx(float(rewards.mean()), rel=1e-5, abs=1e-6)


@pytest.mark.oracle("O9.1")
def test_o9_1_weights_add_up():
    rewards = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=f64)
    close(Strategy()(rewards).sum(0), torch.full((3,), 0.8, dtype=f64))
    close(Strategy(normalise="over_n")(rewards).sum(0), torch.full((3,), 0.16, dtype=f64))
    close(Strategy(normalise="sum_to_one")(rewards).sum(0), torch.ones(3, dtype=f64))
    close(Strategy(normalise="over_n")(rewards) * 5, Strategy()(rewards))


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("normalise", NORMALISE)
def test_views_are_ranked_by_themselves(kind, normalise):
    rewards = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=f64)
    u = torch.tensor([0.1, 0.5, 0.7, 0.99], dtype=f64)
    whole = Strategy(kind, normalise)(rewards, u)
    for view in range(4):
        one = slice(view, view + 1)
        close(Strategy(kind, normalise)(rewards[:, one], u[one]), whole[:, one])


@pytest.mark.oracle("O9.2")
@pytest.mark.parametrize("kind", ["best", "softmax", "random", "all"])
def test_o9_2_one_draw_is_sds(kind):
    u = torch.tensor([0.3], dtype=f64)
    assert Strategy(kind)(torch.tensor([[4.2]], dtype=f64), u).item() == 1.0


@pytest.mark.oracle("O9.2")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o9_2_constant_reward_and_softmax_is_the_mean(prediction, seed, index, schedule):
    table, z = table_of(seed), random_z(seed, VIEWS)
    common = {"cfg_scale": 3, "draws": 4, "times": at(index)}
    g, _ = step_of(
        common | {"strategy": "softmax"}, prior_of(table, schedule, prediction), z, torch.zeros(3, dtype=f64)
    )
    alone, _ = step_of(
        common | {"strategy": "all"}, prior_of(table, schedule, prediction), z, direction(seed)
    )
    residuals, _ = draws_by_hand(table, z, index, schedule, 3, 4, direction(seed))
    close(g, residuals.mean(0))
    close(alone, residuals.mean(0))


@pytest.mark.oracle("O9.2")
@given(seeds, st.floats(-50, 50), st.sampled_from(STRATEGIES[:3]), counts)
def test_o9_2_shifts_and_monotone_transforms(seed, shift, kind, count):
    rewards = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=f64)
    close(Strategy(kind)(rewards + shift), Strategy(kind)(rewards))
    if kind == "softmax":
        close(Strategy(kind, temperature=1e-6)(rewards), Strategy("best")(rewards))
        far(Strategy(kind)(3 * rewards), Strategy(kind)(rewards))
    else:
        assert torch.equal(Strategy(kind)(torch.exp(3 * rewards)), Strategy(kind)(rewards))


@pytest.mark.oracle("O9.3")
@in_every_form
@few_each
@given(seeds, indices, schedules)
def test_o9_3_a_linear_reward_is_affine_in_the_noise(prediction, seed, index, schedule):
    """Slope b = alpha sigma C^-1 S a, so that the best draw is the one whose noise lies furthest along b."""
    table, z, reward = table_of(seed), random_z(seed, VIEWS), direction(seed)
    a, s = levels(index, schedule)
    b = a * s * torch.linalg.solve(table["y"].marginal(a, s), table["y"].cov @ reward)
    noise = torch.stack([noise_of(0, 3, [0, 1], d) for d in range(5)])
    best = (noise @ b).argmax(0)
    config = {"cfg_scale": 1, "rollout_scale": 1, "draws": 5, "strategy": "best", "times": at(index)}
    g, log = step_of(config, prior_of(table, schedule, prediction), z, reward)
    chosen = noise[best, torch.arange(VIEWS)]
    close(g, sds_by_hand(table, z, index, schedule, 1, chosen))
    assert log["nfe"] == 5


@pytest.mark.oracle("O9.3", "O9.4")
@in_every_form
@pytest.mark.parametrize(("count", "schedule"), [(2, SD), (4, RF), (7, SD)])
def test_o9_3_expected_pull_of_the_best(prediction, count, schedule):
    """E[g] = E[g_SDS] - a^2 C^-1 S b E[max_N] with b of unit length; O9.4 where that vanishes."""
    table, reward, index, views = table_of(5), direction(5), 400, 3000
    a, s = levels(index, schedule)
    gauss = table["y"]
    c_inv = torch.linalg.inv(gauss.marginal(a, s))
    b = c_inv @ gauss.cov @ reward
    b = b / b.norm()
    pull = E_MAX[count] * c_inv @ gauss.cov @ b * a * a
    # O9.4: the fixed point lies at mu + C/(a s) pull; on RF, C commutes with the move all the same
    fixed = gauss.mean + gauss.marginal(a, s) @ pull / (a * s)
    close(fixed, gauss.mean + (a / s) * gauss.cov @ b * E_MAX[count])
    config = {"cfg_scale": 1, "rollout_scale": 1, "draws": count, "strategy": "best", "times": at(index)}
    prior = prior_of(table, schedule, prediction)
    for z, expected in ((gauss.mean, -pull), (fixed, 0 * pull)):
        g, _ = step_of(config, prior, z.expand(views, 3), reward, ids=list(range(views)))
        error = (g.mean(0) - expected).abs()
        assert bool((error < 5 / math.sqrt(views) * g.std(0)).all())
    assert float(pull.abs().max()) > 10 / math.sqrt(views) * float(g.std(0).max())  # the test can see it


@pytest.mark.oracle("O9.3")
@in_every_form
def test_o9_3_expected_pull_of_minmax(prediction):
    """.8 E[g_SDS] - a^2 C^-1 S b (.9 E[mean of top 2] - .1 E[mean of bottom 2]); of 4: +-(1.0294 + .2970) / 2."""
    table, reward, index, views = table_of(6), direction(6), 400, 3000
    a, s = levels(index, SD)
    gauss, z = table["y"], torch.tensor([2.0, 0.3, -1.0], dtype=f64)
    c_inv = torch.linalg.inv(gauss.marginal(a, s))
    b = c_inv @ gauss.cov @ reward
    b, top = b / b.norm(), (1.0294 + 0.2970) / 2
    expected = 0.8 * a * s * c_inv @ (z - gauss.mean) - a * a * c_inv @ gauss.cov @ b * top
    config = {"cfg_scale": 1, "rollout_scale": 1, "draws": 4, "times": at(index)}
    g, _ = step_of(
        config, prior_of(table, SD, prediction), z.expand(views, 3), reward, ids=list(range(views))
    )
    assert bool(((g.mean(0) - expected).abs() < 5 / math.sqrt(views) * g.std(0)).all())


@few
@given(seeds, st.integers(320, 980), st.sampled_from([2, 5, 10]))
def test_the_rollout_is_ddim_on_the_grid(seed, index, steps):
    """The best draw by where DDIM ends, followed by hand; every prediction counted."""
    table, z, reward = table_of(seed), random_z(seed, VIEWS), direction(seed)
    noise = [noise_of(0, 3, [0, 1], d) for d in range(4)]
    grid = [index] + [k for k in range(1000 - 1000 // steps, 0, -1000 // steps) if k < index]
    ends = []
    for eps in noise:
        a, s = levels(index, SD)
        x = a * z + s * eps
        for here, below in zip(grid, [*grid[1:], None], strict=True):
            a, s = levels(here, SD)
            x0, e = table["y"].x0(x, a, s), table["y"].eps(x, a, s)
            if below is not None:
                a, s = levels(below, SD)
                x = a * x0 + s * e
        ends.append(x0 @ reward)
    best = torch.stack(ends).argmax(0)
    chosen = torch.stack(noise)[best, torch.arange(VIEWS)]
    config = {"cfg_scale": 1, "rollout_scale": 1, "draws": 4, "strategy": "best", "rollout_steps": steps}
    g, log = step_of(config | {"times": at(index)}, prior_of(table), z, reward)
    close(g, sds_by_hand(table, z, index, SD, 1, chosen))
    assert log["nfe"] == 4 * len(grid)


def test_rows_that_arrive_wait_for_the_others():
    """Views at different times end where each would end alone."""
    table, z, reward = table_of(3), random_z(3, 2), direction(3)
    prior = prior_of(table)
    config = {"cfg_scale": 1, "rollout_scale": 1, "draws": 4, "strategy": "best", "rollout_steps": 4}
    together, _ = step_of(config, prior, z, reward, ids=[0, 5])
    for row, view in enumerate((0, 5)):
        alone, _ = step_of(config, prior, z[row : row + 1], reward, ids=[view])
        close(together[row : row + 1], alone)


def test_after_the_rewards_part_it_is_sds():
    table, z, reward = table_of(4), random_z(4, VIEWS), direction(4)
    prior = prior_of(table)
    config = {"cfg_scale": 7.5, "until": 0.5, "times": at(300)}
    g, log = step_of(config, prior, z, reward, step=50)
    options = parse({"method": "sds", "cfg_scale": 7.5, "weight": "uniform", "times": at(300)})
    sds = build_guidance(options, prior, 100).guide(views_of(prior, z), 50, Streams(0), {})[0]["z"]
    close(g, sds.flatten(1) * VIEWS)
    assert log["nfe"] == 2
    assert "reward" not in log
    before, log = step_of(config, prior, z, reward, step=49)
    assert log["nfe"] == 14
    far(before, sds.flatten(1) * VIEWS)


def test_random_asks_only_about_what_it_chose():
    table, z = table_of(4), random_z(4, 1)
    config = {"cfg_scale": 7.5, "strategy": "random", "times": at(300)}
    seen = set()
    for step in range(12):
        g, log = step_of(config, prior_of(table), z, direction(0), step=step)
        assert log["nfe"] == 2
        found = [
            d
            for d in range(7)
            if torch.allclose(g, sds_by_hand(table, z, 300, SD, 7.5, noise_of(0, step, [0], d)), atol=1e-6)
        ]
        assert len(found) == 1
        seen.update(found)
    assert len(seen) > 2


def test_views_of_an_object_may_be_ranked_together():
    table, z, reward = table_of(8), random_z(8, 4), direction(8)
    config = {"cfg_scale": 1, "rollout_scale": 1, "draws": 4, "strategy": "best", "times": at(500)}
    g, _ = step_of(config | {"joint": True}, prior_of(table), z, reward, group=[0, 0, 1, 1])
    residuals, rewards = draws_by_hand(table, z, 500, SD, 1, 4, reward)
    for views in ([0, 1], [2, 3]):
        best = int(rewards[:, views].sum(1).argmax())
        close(g[views], residuals[best][views])


@pytest.mark.oracle("O9.5")
@in_every_form
@few_each
@given(seeds, indices, st.sampled_from(STRATEGIES))
def test_o9_5_rewardvsd_is_zero_where_the_renders_follow_the_prior(prediction, seed, index, kind):
    """With a critic that says what the prior says, q = p: no residual in any draw, whatever the weights."""

    class Same:
        """The exact critic of q = p."""

        trains = 0

        def bind(self, prior):
            self.prior = prior
            return self

        def predict(self, memory, state, views, told):
            return self.prior.predict(state.z_t, state.t, views.cond["y"])

        def numbers(self, memory):
            return {}

    table, z = table_of(seed), random_z(seed, VIEWS)
    prior = prior_of(table, SD, prediction)
    options = parse(
        of_reward({"strategy": kind, "rollout_steps": 1}) | {"method": "rewardvsd", "cfg_scale": 1}
    )
    recipe = preset("rewardvsd")(options)
    weights = replace(recipe.draw_weights, reward=LinearReward(direction(seed).view(SHAPE)))
    engine = bind(replace(recipe, draw_weights=weights, critic=Same()), prior, 10)
    cotangents, _, log = engine.guide(views_of(prior, z), 1, Streams(0), {})
    assert float(cotangents["z"].abs().max()) < 1e-12
    assert log["nfe"] > 2


@pytest.mark.oracle("O9.5")
def test_o9_5_zero_where_target_is_reference_whatever_the_weights():
    """The residual of every draw is 0 if prompt and empty prompt agree and the rule is C - U."""
    from sds3d.guidance.rules import C, U

    table, z = table_of(2), random_z(2, VIEWS)
    prior = prior_of(table | {"y": table["null"]})
    options = parse(of_reward({"rollout_steps": 1}))
    recipe = preset("rewardsds")(options)
    for kind in STRATEGIES:
        weights = replace(
            recipe.draw_weights, reward=LinearReward(direction(1).view(SHAPE)), strategy=Strategy(kind)
        )
        engine = bind(replace(recipe, rule=C - U, draw_weights=weights), prior, 10)
        g = engine.guide(views_of(prior, z), 1, Streams(0), {})[0]["z"]
        assert float(g.abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"draws": 3}, "2 best and 2 worst need 4 draws, got 3"),
        ({"high": 0.1, "normalise": "sum_to_one"}, "`high` is above `low`"),
        ({"kind": "clipp"}, "'clip'"),
    ],
)
def test_what_does_not_go_together(config, said):
    with pytest.raises(ConfigError, match=said):
        preset("rewardsds")(parse(of_reward(config)))


@pytest.mark.parametrize(
    ("kind", "normalise", "temperature", "said"),
    [
        ("beste", "over_n", 1.0, "unknown strategy"),
        ("best", "none", 1.0, "one of mean_groups"),
        ("best", "over_n", 0.0, "above 0"),
    ],
)
def test_strategies_refuse(kind, normalise, temperature, said):
    with pytest.raises(ConfigError, match=said):
        Strategy(kind, normalise, temperature=temperature)
