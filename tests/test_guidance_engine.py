"""The engine and its network calls: counting, batching, caching, purity, and what is refused before step 0."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_cases import (
    RF,
    SD,
    SHAPE,
    at,
    noise_of,
    prior_of,
    random_gauss,
    random_z,
    residual_step,
    views_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sds3d.guidance.build import bind, build_guidance
from sds3d.guidance.calls import Calls
from sds3d.guidance.predictions import CFG
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.registry import parse
from sds3d.guidance.rules import EPS, NEG, C, U, guided
from sds3d.guidance.states import noised
from sds3d.guidance.times import Times

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import constant
from sds3d.core.schedules import parse as schedule_of
from sds3d.core.streams import Streams
from sds3d.priors.base import Cond

f64 = torch.float64


class Counting:
    """A prior that notes every call: batch size, branches, and whether autograd was on."""

    def __init__(self, inner):
        self.inner, self.info, self.schedule = inner, inner.info, inner.schedule
        self.batches: list[list[int]] = []
        self.condition, self.prepare = inner.condition, inner.prepare

    def predict(self, z_t, t, cond):
        assert not torch.is_grad_enabled()
        assert len(z_t) == len(t) == len(cond.weight)
        self.batches.append(cond.tensors["branch"].tolist())
        return self.inner.predict(z_t, t, cond)


def three(schedule=SD, **change) -> Counting:
    prior = Counting(prior_of({n: random_gauss(k) for k, n in enumerate(["y", "null", "neg"])}, schedule))
    prior.info = dataclasses.replace(prior.info, **change)
    return prior


def run(config, prior, views: int = 2, step: int = 0, steps: int = 10):
    return residual_step(config, prior, random_z(0, views), step=step, steps=steps)


@pytest.mark.parametrize(
    ("config", "nfe", "branches"),
    [
        ({"method": "sds"}, 2, [0, 0, 1, 1]),
        ({"method": "sds", "cfg_scale": 1}, 1, [0, 0]),
        ({"method": "sds", "cfg_scale": 0}, 1, [1, 1]),
        ({"method": "sds", "cfg_scale": 0, "transforms": [{"rescale": 0.5, "space": "x0"}]}, 2, [1, 1, 0, 0]),
        ({"method": "csd"}, 2, [0, 0, 1, 1]),
        ({"method": "csd", "omega2": 0.5}, 3, [0, 0, 1, 1, 2, 2]),
        ({"method": "csd", "omega2": 1.0}, 2, [0, 0, 2, 2]),
        ({"method": "sds", "draws": 3}, 6, [0, 0, 1, 1] * 3),
        ({"method": "csd", "omega2": 0.5, "draws": 2}, 6, [0, 0, 1, 1, 2, 2] * 2),
    ],
)
def test_one_batched_forward_and_the_published_count(config, nfe, branches):
    prior = three()
    _, log = run(config, prior)
    assert log["nfe"] == nfe
    assert prior.batches == [branches]


def test_branches_come_and_go_with_their_schedules():
    """omega2 from 0 to 1: two predictions at the ends, three between."""
    prior, config = three(), {"method": "csd", "omega2": {"piecewise": [[0, 0], [0.5, 1.0]]}}
    assert [run(config, prior, step=s)[1]["nfe"] for s in (0, 2, 5)] == [2, 3, 2]


def test_nothing_is_asked_while_every_coefficient_is_zero():
    prior = three()
    g, log = run({"method": "csd", "omega1": {"constant": 1.0, "warmup": 0.5}}, prior)
    assert prior.batches == []
    assert float(g.abs().max()) == 0.0
    assert log["nfe"] == 0
    assert "x0" not in log


def test_a_shared_prediction_is_asked_once():
    """G(cfg) - U: the empty prompt serves both."""
    prior = three()
    recipe = Recipe(
        guided(CFG(constant(3.0))) - U, Times(constant(0.5), constant(0.5), "sd", None), "uniform"
    )
    views = views_of(prior, random_z(0, 2))
    cotangents, _, log = bind(recipe, prior, 1).guide(views, 0, Streams(0), {})
    csd = bind(dataclasses.replace(recipe, rule=3.0 * (C - U)), prior, 1).guide(views, 0, Streams(0), {})
    torch.testing.assert_close(cotangents["z"], csd[0]["z"])
    assert log["nfe"] == csd[2]["nfe"] == 2


def test_calls_are_cached_by_state_and_condition():
    prior = three()
    views = views_of(prior, random_z(0, 2))
    t = torch.tensor([0.3, 0.6], dtype=f64)
    first, second = (noised(views.z, torch.ones_like(views.z) * k, t, SD) for k in (1.0, 2.0))
    calls = Calls(prior, views.cond)
    a = calls.ask([(first, "y"), (second, "null"), (first, "y")])
    assert (calls.nfe, len(prior.batches), list(a)) == (2, 1, [(first, "y"), (second, "null")])
    b = calls.ask([(second, "null"), (second, "y")])
    assert (calls.nfe, len(prior.batches)) == (3, 2)
    assert b[second, "null"] is a[second, "null"]
    assert prior.batches == [[0, 0, 1, 1], [0, 0]]
    assert calls.ask([]) == {}
    for (state, branch), answer in {**a, **b}.items():
        alone = prior.inner.predict(state.z_t, t, views.cond[branch])
        for form in ("eps", "x0", "v", "velocity"):
            torch.testing.assert_close(getattr(answer, form), getattr(alone, form))


def test_a_missing_branch_is_named():
    prior = three()
    views = views_of(prior, random_z(0, 2))
    views = dataclasses.replace(views, cond={"y": views.cond["y"], "null": views.cond["null"]})
    guidance = build_guidance(parse({"method": "csd", "omega2": 0.3}), prior, 10)
    with pytest.raises(ConfigError) as caught:
        guidance.guide(views, 0, Streams(0), {})
    assert str(caught.value) == (
        "the method asks the prior 'analytic' about the branch 'neg', but these views are conditioned on null, y only."
    )
    assert prior.batches == []


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.integers(0, 9), st.integers(2, 5))
def test_a_view_does_not_depend_on_its_batch(seed, step, count):
    """g of a view is one number whoever stands beside it, in whatever order: B times the cotangent."""
    prior, z = three(), random_z(seed, count)
    guidance = build_guidance(parse("sds"), prior, 10)
    ids = [10 + k for k in range(count)]
    whole = guidance.guide(views_of(prior, z, ids), step, Streams(seed), {})[0]["z"] * count
    order = list(range(count))[::-1]
    turned = guidance.guide(views_of(prior, z[order], [ids[k] for k in order]), step, Streams(seed), {})[0][
        "z"
    ]
    torch.testing.assert_close(turned * count, whole[order])
    alone = guidance.guide(views_of(prior, z[:1], ids[:1]), step, Streams(seed), {})[0]["z"]
    torch.testing.assert_close(alone, whole[:1])


def test_guide_is_pure():
    prior, z = three(), random_z(1, 2)
    guidance, views = build_guidance(parse("sds"), prior, 10), views_of(three(), random_z(1, 2))
    first = guidance.guide(views, 4, Streams(7), {})
    guidance.guide(views, 5, Streams(7), {})
    again = guidance.guide(views, 4, Streams(7), {})
    assert torch.equal(first[0]["z"], again[0]["z"])
    assert torch.equal(views.z.flatten(1), z)
    for step, seed in ((5, 7), (4, 8)):
        assert not torch.equal(guidance.guide(views, step, Streams(seed), {})[0]["z"], first[0]["z"])


def test_memory_is_handed_through():
    guidance = build_guidance(parse("sds"), three(), 10)
    views, memory = views_of(three(), random_z(1, 2)), {"critic": {"weight": torch.ones(2)}}
    assert guidance.init(Streams(0)) == {}
    assert guidance.guide(views, 0, Streams(0), memory)[1] is memory
    assert guidance.learn(views, 0, Streams(0), memory) is memory


def test_draws_are_averaged_at_one_time():
    """n draws: the mean of the single residuals, their noise keyed by the draw, the time shared."""
    prior, z = three(), random_z(2, 2)
    config = {"method": "sds", "cfg_scale": 4, "weight": "uniform", "draws": 3, "times": at(400)}
    g, log = residual_step(config, prior, z)
    t = torch.full((2,), 0.4, dtype=f64)
    cond, singles = views_of(prior, z).cond, []
    for draw in range(3):
        eps = noise_of(0, 3, [0, 1], draw)
        z_t = SD.add_noise(z, eps, t).view(-1, *SHAPE)
        y, null = (prior.inner.predict(z_t, t, cond[n]).eps.flatten(1) for n in ("y", "null"))
        singles.append(null + 4 * (y - null) - eps)
    torch.testing.assert_close(g, sum(singles) / 3)
    assert log["residual"] == pytest.approx(float(torch.stack(singles).square().mean().sqrt()))
    first = residual_step(config | {"draws": 1}, prior, z)
    torch.testing.assert_close(first[0], singles[0])
    torch.testing.assert_close(log["x0"], first[1]["x0"])


def test_the_log_holds_numbers_and_a_picture():
    prior = three()
    g, log = run({"method": "sds", "cfg_scale": 3}, prior, views=4)
    assert {k for k, v in log.items() if isinstance(v, float)} == {
        *("t", "residual", "gradient", "nfe", "nfe_train", "rows")
    }
    assert (log["nfe"], log["nfe_train"], log["rows"]) == (2.0, 0.0, 8.0)
    assert log["x0"].shape == (4, *SHAPE)
    assert 0.02 <= log["t"] <= 0.98
    assert log["gradient"] == pytest.approx(float(g.norm()) / 4)


def test_the_picture_of_a_method_without_guided_prediction_is_the_prompts():
    prior, z = three(), random_z(0, 2)
    config = {"method": "csd", "omega1": 2.0, "omega2": 1.0, "times": at(300)}
    _, log = residual_step(config, prior, z)
    t = torch.full((2,), 0.3, dtype=f64)
    z_t = SD.add_noise(z, noise_of(0, 3, [0, 1]), t).view(-1, *SHAPE)
    torch.testing.assert_close(log["x0"], prior.inner.predict(z_t, t, views_of(prior, z).cond["y"]).x0)
    recipe = Recipe(
        U - guided(CFG(constant(2.0))), Times(constant(0.3), constant(0.3), "sd", False), "uniform"
    )
    guidance = bind(recipe, prior, 10)
    shown = guidance.guide(views_of(prior, z), 3, Streams(0), {})[2]["x0"]
    y, null = (prior.inner.predict(z_t, t, views_of(prior, z).cond[n]).x0 for n in ("y", "null"))
    torch.testing.assert_close(shown, null + 2 * (y - null))


def test_progress_runs_over_the_total_steps():
    """Scheduled bounds are read at step / steps."""
    prior = three(RF)
    times = {"low": {"linear": [0.8, 0.4]}, "high": {"linear": [0.8, 0.4]}, "scale": "native"}
    seen = [run({"times": times}, prior, step=s, steps=8)[1]["t"] for s in (0, 2, 7)]
    assert seen == [pytest.approx(v) for v in (0.8, 0.7, 0.45)]


def test_post_steps_run_in_order_after_the_weight():
    prior = three()
    plain, _ = run({"weight": "kappa"}, prior)
    clipped, _ = run({"weight": "kappa", "post": [{"clip_value": 0.5}, "unit_norm"]}, prior)
    turned, _ = run({"weight": "kappa", "post": ["unit_norm", {"clip_value": 0.5}]}, prior)
    inner = plain.clamp(-0.5, 0.5)
    torch.testing.assert_close(clipped, inner / inner.norm())
    torch.testing.assert_close(turned, (plain / plain.norm()).clamp(-0.5, 0.5))
    falling, _ = run({"post": [{"clip_value": {"linear": [1.0, 0.0]}}]}, prior, step=9)
    assert float(falling.abs().max()) <= 0.1 + 1e-12


def test_float32_stays_float32():
    prior = three()
    guidance = build_guidance(parse({"weight": "kappa"}), prior, 10)
    views = views_of(prior, random_z(0, 2).float())
    cotangents, _, log = guidance.guide(views, 0, Streams(0), {})
    assert cotangents["z"].dtype == log["x0"].dtype == torch.float32
    exact = guidance.guide(views_of(prior, views.z.double().flatten(1)), 0, Streams(0), {})[0]["z"]
    torch.testing.assert_close(cotangents["z"].double(), exact, rtol=1e-3, atol=1e-4)


def test_views_of_a_group_share_t_where_the_prior_needs_it():
    z = random_z(0, 4)
    single, multi = three(), three(views_per_group=2)
    for prior, config, distinct in ((single, {}, 4), (single, {"shared": True}, 2), (multi, {}, 2)):
        seen = []
        inner = prior.inner.predict
        prior.predict = lambda z_t, t, cond, inner=inner, seen=seen: seen.append(t) or inner(z_t, t, cond)
        guidance = build_guidance(parse({"times": config}), prior, 10)
        guidance.guide(views_of(prior, z, ids=[0, 1, 2, 3], group=[5, 5, 6, 6]), 0, Streams(0), {})
        t = seen[0][:4].tolist()
        assert len(set(t)) == distinct
        assert distinct == 4 or (t[0] == t[1] and t[2] == t[3])
        assert torch.equal(seen[0][:4], seen[0][4:])


def test_needs_name_the_branches():
    assert build_guidance(parse("sds"), three(), 10).needs.branches == {"y", "null"}
    assert build_guidance(parse({"cfg_scale": 1}), three(), 10).needs.branches == {"y"}
    assert build_guidance(parse({"method": "csd", "omega2": 0.5}), three(), 1).needs.branches == {
        "y",
        "null",
        "neg",
    }


@pytest.mark.parametrize(
    ("config", "prior", "steps", "said"),
    [
        (
            {"method": "csd", "omega2": 0.5},
            {"branches": ("y", "null")},
            10,
            "guidance.method: the method asks for the condition neg, which the prior 'analytic' cannot serve "
            "(it has y, null).",
        ),
        (
            {"method": "csd", "omega2": 0.5},
            {"branches": ("y",)},
            10,
            "guidance.method: the method asks for the condition neg, null, which the prior 'analytic' cannot serve "
            "(it has y).",
        ),
        (
            {"times": {"shared": False}},
            {"views_per_group": 4},
            10,
            "guidance.times.shared: the prior 'analytic' looks at 4 views of an object at once; they must share one "
            "t, or its attention would mix noise levels. Leave it out or set it to true.",
        ),
        (
            {"times": {"shared": False}},
            {"views_per_group": 2},
            10,
            "guidance.times.shared: the prior 'analytic' looks at 2 views of an object at once; they must share one "
            "t, or its attention would mix noise levels. Leave it out or set it to true.",
        ),
        ("sds", {}, 0, "steps: a run needs at least one step, got 0."),
    ],
)
def test_what_does_not_go_together_is_refused_before_step_0(config, prior, steps, said):
    with pytest.raises(ConfigError) as caught:
        build_guidance(parse(config), three(RF, **prior), steps)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"times": {"low": 0.9, "high": 0.5}}, "low is 0.9 and high is 0.5"),
        ({"times": {"low": 0.0, "scale": "native"}}, "adds no noise"),
        ({"times": {"high": 1.0, "scale": "native"}, "weight": "kappa"}, "keeps no signal"),
    ],
)
def test_times_are_checked_against_the_prior(config, said):
    with pytest.raises(ConfigError, match=said):
        build_guidance(parse(config), three(RF), 10)


def test_what_does_go_together_is_not_refused():
    build_guidance(parse({"times": {"high": 1.0, "scale": "native"}}), three(RF), 1)
    build_guidance(parse("csd"), three(branches=("y", "null")), 10)
    build_guidance(parse({"times": {"shared": True}}), three(views_per_group=4), 10)


def test_the_rule_may_hold_a_negative_prompt_in_the_empty_slot():
    """CFG away from the negative prompt is a recipe, not a new engine."""
    prior = three()
    recipe = Recipe(
        guided(CFG(schedule_of({"linear": [2.0, 4.0]}), negative="neg")) - EPS,
        Times(constant(0.4), constant(0.4), "sd", None),
        "uniform",
    )
    z = random_z(0, 2)
    guidance = bind(recipe, prior, 10)
    assert guidance.needs.branches == {"y", "neg"}
    g = guidance.guide(views_of(prior, z), 5, Streams(0), {})[0]["z"].flatten(1) * 2
    eps = noise_of(0, 5, [0, 1])
    t = torch.full((2,), 0.4, dtype=f64)
    z_t, cond = SD.add_noise(z, eps, t).view(-1, *SHAPE), views_of(prior, z).cond
    y, neg = (prior.inner.predict(z_t, t, cond[n]).eps.flatten(1) for n in ("y", "neg"))
    torch.testing.assert_close(g, neg + 3 * (y - neg) - eps)
    assert isinstance(cond["y"], Cond)
    assert NEG.symbols(0.0)[0].condition == "neg"
