"""The trained critic: what it learns, that its memory is all it has, and that the prior never notices it."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from sds3d.guidance.base import Views, moment
from sds3d.guidance.build import build_guidance
from sds3d.guidance.lora_critic import LoraCritic, goal, text_of
from sds3d.guidance.registry import parse
from sds3d.guidance.states import noised
from tiny_stable_diffusion import load as load_tiny
from tiny_stable_diffusion import write_model

from sds3d.core.cameras import orbit
from sds3d.core.errors import ConfigError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.core.tree import join, split, tree_hash
from sds3d.priors.base import Cond, Prediction, Prompts
from sds3d.priors.kinds import embedded
from sds3d.priors.lora import LoraNetwork, LoraSpec, make_adapter
from sds3d.priors.noise_schedule import NoiseSchedule

ALPHA, SIGMA = 0.8, 0.6


class Line(torch.nn.Module):
    """A network that can only answer a + b x: a linear layer on (1, x)."""

    def __init__(self, answer=lambda out: out):
        super().__init__()
        self.line, self.answer = torch.nn.Linear(2, 1, bias=False), answer
        torch.nn.init.zeros_(self.line.weight)

    def forward(self, z_t):
        return self.answer(self.line(torch.stack([torch.ones_like(z_t), z_t], dim=-1))[..., 0])


class LineAdapter:
    def __init__(self, prior, spec):
        self.prior, self.network = prior, LoraNetwork(prior.network, spec)
        self.told = []

    def init(self, streams):
        return self.network.init(streams)

    def predict(self, weights, z_t, t, cond, cameras, told):
        self.told.append(told.clone())
        out = self.network.with_weights(weights)(z_t)
        a, s = self.prior.schedule.alpha(t), self.prior.schedule.sigma(t)
        a, s = (v.float().view(-1, 1, 1, 1) for v in (a, s))
        return Prediction.of(out, z_t, a, s, self.prior.info.prediction)


class OneLevel(NoiseSchedule):
    """A flow that stands at tau = SIGMA."""

    def levels(self, t):
        return torch.full_like(t, 1 - SIGMA), torch.full_like(t, SIGMA)


VP_LEVEL = NoiseSchedule("vp", torch.tensor([ALPHA**2], dtype=torch.float64))


def line_prior(prediction: str, answer=lambda out: out, schedule=VP_LEVEL):
    """A prior of one noise level whose network is a line."""
    prior = SimpleNamespace(
        info=SimpleNamespace(name="line", prediction=prediction), schedule=schedule, network=Line(answer)
    )
    prior.make_adapter = lambda spec: LineAdapter(prior, spec)
    return prior


def line_views(z: torch.Tensor) -> Views:
    cond = {"y": Cond({}, torch.ones(len(z)))}
    return Views(Look(None, tuple(z.shape[2:]), torch.ones(len(z), 3)), {}, z, cond)


def trained(critic, prior, steps, draw):
    bound, streams = critic.bind(prior), Streams(1)
    memory = bound.init(streams)
    for step in range(steps):
        views = line_views(draw(step))
        memory = bound.learn(memory, views, moment(views, step, steps, streams))
    return bound, memory


@pytest.mark.oracle("O2.5")
@pytest.mark.parametrize(
    ("prediction", "target", "schedule"),
    [
        ("epsilon", "native", VP_LEVEL),
        ("v", "native", VP_LEVEL),
        ("x0", "native", VP_LEVEL),
        ("epsilon", "v", VP_LEVEL),
        pytest.param("velocity", "native", OneLevel("rf"), marks=pytest.mark.oracle("O11.5")),
    ],
)
def test_o2_5_the_trainer_finds_the_conditional_mean_of_the_noise(prediction, target, schedule):
    """Renders N(m, S): eps(x_t) = sigma / C (x_t - alpha m), C = alpha^2 S + sigma^2, for each target and on a flow."""
    m, var = 0.4, 0.5

    def draw(step):
        return m + var**0.5 * Streams(7).normal((1, 32, 32), "renders", step=step, ids=(0, 1))

    critic = LoraCritic(LoraSpec(2, 2.0), target, lr=0.05, weight_decay=0.0)
    coarse, memory = trained(critic, line_prior(prediction, schedule=schedule), 80, draw)
    calm = LoraCritic(LoraSpec(2, 2.0), target, lr=0.005, weight_decay=0.0)
    fine = calm.bind(line_prior(prediction, schedule=schedule))
    for step in range(80, 120):
        views = line_views(draw(step))
        memory = fine.learn(memory, views, moment(views, step, 120, Streams(1)))
    x = torch.linspace(-2, 2, 5).view(1, 1, 1, 5)
    t = torch.zeros(1, dtype=torch.float64)
    state = SimpleNamespace(z_t=x, t=t)
    views = line_views(torch.zeros(1, 1, 1, 5))
    found = coarse.predict(memory, state, views, True).eps
    alpha = float(schedule.alpha(t))
    spread = alpha**2 * var + SIGMA**2
    torch.testing.assert_close(found, SIGMA / spread * (x - alpha * m), rtol=0, atol=0.03)
    least = 1 - SIGMA**2 / spread  # the variance of eps that is left
    if prediction == target or (prediction, target) == ("epsilon", "native"):
        assert abs(memory["loss"] - least) < 0.1


def test_the_updates_are_those_of_adamw():
    prior, streams = line_prior("epsilon"), Streams(1)
    critic = LoraCritic(LoraSpec(2, 2.0), lr=0.02, weight_decay=0.1, warmup=3, updates=2)
    bound = critic.bind(prior)
    start = bound.init(streams)
    weights = {k: v.clone().requires_grad_() for k, v in start["weights"].items()}
    theirs = torch.optim.AdamW(weights.values(), lr=0.02, betas=critic.betas, weight_decay=0.1)
    memory = start
    for step in range(3):
        views = line_views(streams.normal((1, 8, 8), "renders", step=step, ids=(0, 1)))
        now = moment(views, step, 3, streams)
        memory = bound.learn(memory, views, now)
        for k in range(2):
            _, grads = bound._loss(weights, views, now, k)
            for name, value in weights.items():
                value.grad = grads[name]
            theirs.param_groups[0]["lr"] = 0.02 * min(1.0, (2 * step + k + 1) / 3)
            theirs.step()
    assert memory["updates"] == 6
    for name, value in weights.items():
        torch.testing.assert_close(memory["weights"][name], value.detach(), rtol=1e-6, atol=1e-7)
        assert not torch.equal(memory["weights"][name], start["weights"][name])


def test_an_update_that_overflows_is_passed_over_and_counted():
    prior = line_prior("epsilon", answer=lambda out: out * float("inf"))
    bound, streams = LoraCritic().bind(prior), Streams(0)
    views, start = line_views(torch.ones(2, 1, 4, 4)), bound.init(Streams(0))
    after = bound.learn(start, views, moment(views, 0, 1, streams))
    assert bound.numbers(after) == {"critic_loss": 0.0, "critic_skipped": 1.0}
    assert tree_hash(after) == tree_hash(start | {"skipped": 1})


def test_the_camera_is_left_out_in_the_asked_share_of_the_views():
    bound, streams = LoraCritic(camera_dropout=0.1).bind(line_prior("epsilon")), Streams(3)
    memory, views = bound.init(streams), line_views(torch.ones(50, 1, 2, 2))
    for step in range(20):
        bound.learn(memory, views, moment(views, step, 20, streams))
    told = torch.stack(bound.adapter.told).float()
    assert abs(float(told.mean()) - 0.9) < 0.03
    assert len({tuple(row.tolist()) for row in told}) > 15


@settings(max_examples=10)
@given(st.floats(0.05, 0.95), st.integers(0, 10**6), st.sampled_from(["vp", "rf"]))
def test_what_the_critic_is_taught_is_consistent(level, seed, kind):
    """The goals of all forms at one state are one prediction, by the conversions of the schedule."""
    table = torch.tensor([level], dtype=torch.float64)
    schedule = NoiseSchedule("vp", table) if kind == "vp" else NoiseSchedule("rf")
    z, eps = (Streams(seed).normal((1, 2, 2), n).double() for n in ("z", "eps"))
    state = noised(z, eps, torch.tensor([level]), schedule)
    a, s = (v.view(-1, 1, 1, 1) for v in (state.alpha, state.sigma))
    for form in ("epsilon", "v", "x0", "velocity")[:: 1 if kind == "vp" else 3]:
        back = Prediction.of(goal(z, state, form), state.z_t, a, s, form)
        torch.testing.assert_close(back.eps, eps, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(back.x0, z, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A tiny Stable Diffusion, which takes no camera."""
    return load_tiny(write_model(tmp_path_factory.mktemp("tiny"), "epsilon", "<|endoftext|>"))


@pytest.fixture(scope="module")
def boxed():
    """The embedded prior."""
    return embedded.create(embedded.Options(precision="float32"))


def views_of(prior, prompt="a blue mushroom", view_words=False) -> Views:
    look = Look(orbit([0.0, 90.0], 15.0), prior.info.size, torch.ones(2, 3))
    cond = prior.condition(prior.prepare(Prompts(prompt, "", view_words)), look, {})
    return Views(look, {}, Streams(4).normal(prior.info.latent_shape, "z", ids=(0, 1)), cond)


def after(guidance, views, first, last, state, streams):
    """(cotangent of the last step, state) after some steps."""
    for step in range(first, last):
        out, state, _ = guidance.guide(views, step, streams, state)
        state = guidance.learn(views, step, streams, state)
    return out["z"], state


@pytest.mark.parametrize("which", ["small", "boxed"])
@pytest.mark.parametrize("layers", ["all", "attention"])
def test_untrained_it_is_the_prior_and_the_prior_never_changes(which, layers, request):
    prior = request.getfixturevalue(which)
    views = views_of(prior)
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    before = prior.predict(views.z, t, views.cond["y"]).eps
    adapter = make_adapter(prior, LoraSpec(layers=layers))
    weights = adapter.init(Streams(0))
    told = torch.ones(2, dtype=torch.bool)

    def answer(w):
        return adapter.predict(w, views.z, t, views.cond["y"], views.look.cameras, told).eps

    assert torch.equal(answer(weights), before)
    changed = {k: v + 0.05 for k, v in weights.items()}
    assert float((answer(changed) - before).abs().max()) > 1e-3
    assert torch.equal(prior.predict(views.z, t, views.cond["y"]).eps, before)
    assert torch.equal(answer(weights), before)
    kinds = {len(v.shape) for v in weights.values()}
    assert (4 in kinds) == (layers == "all"), "convolutions are changed too"


@pytest.mark.parametrize("which", ["small", pytest.param("boxed", marks=pytest.mark.slow)])
def test_a_run_cut_in_two_ends_with_the_same_bits(which, request):
    """The memory through a file, and a new engine; nothing that was handed out has changed since."""
    prior = request.getfixturevalue(which)
    config = parse({"method": "esd", "critic": {"lr": 1e-2, "updates": 2, "rank": 2}})
    views, streams = views_of(prior), Streams(5)
    guidance = build_guidance(config, prior, 4)
    start = guidance.init(streams)
    kept = copy.deepcopy(start)
    whole, end = after(guidance, views, 0, 4, start, streams)
    assert tree_hash(start) == tree_hash(kept)
    _, half = after(guidance, views, 0, 2, start, streams)
    tensors, plain = split(half)
    read = join(load(save({k: v.contiguous() for k, v in tensors.items()})), json.loads(json.dumps(plain)))
    again, end_again = after(build_guidance(config, prior, 4), views, 2, 4, read, Streams(5))
    assert torch.equal(whole, again)
    assert tree_hash(end) == tree_hash(end_again)
    assert end["critic"]["updates"] == 8
    assert tree_hash(end) != tree_hash(half)


@pytest.mark.parametrize("which", ["small", pytest.param("boxed", marks=pytest.mark.slow)])
def test_it_learns_the_renders_and_their_cameras(which, request):
    """Two pictures, one a camera: told the camera it tells them apart, untold it cannot."""
    prior = request.getfixturevalue(which)
    views = views_of(prior)
    config = parse({"method": "vsd", "critic": {"lr": 5e-3, "camera_dropout": 0.5}})
    guidance, streams = build_guidance(config, prior, 30), Streams(5)
    start = state = guidance.init(streams)
    for step in range(20):
        state = guidance.learn(views, step, streams, state)
    t = torch.tensor([0.9, 0.9], dtype=torch.float64)
    noise = Streams(6).normal(prior.info.latent_shape, "noise", ids=(0, 1)).to(views.z)
    ask = noised(views.z, noise, t, prior.schedule)
    errors = [
        float((guidance.critic.predict(memory["critic"], ask, views, True).eps - noise).square().mean())
        for memory in (start, state)
    ]
    assert errors[1] < errors[0]
    same = views.z[:1].expand(2, -1, -1, -1).contiguous()
    ask = noised(same, torch.zeros_like(same), t, prior.schedule)
    told, untold = (guidance.critic.predict(state["critic"], ask, views, told).eps for told in (True, False))
    assert float((told[0] - told[1]).abs().max()) > 1e-5
    torch.testing.assert_close(untold[0], untold[1], rtol=0, atol=1e-5)


def test_untold_it_hears_what_the_prior_hears_without_camera(boxed):
    deaf = embedded.EmbeddedPrior.__new__(embedded.EmbeddedPrior)
    deaf.__dict__ = boxed.__dict__ | {"options": embedded.Options(condition_on_camera=False)}
    views, t = views_of(boxed), torch.tensor([0.3, 0.8], dtype=torch.float64)
    theirs = views_of(deaf)
    adapter = make_adapter(deaf, LoraSpec())

    def ask(told, cond):
        weights, hears = adapter.init(Streams(0)), torch.full((2,), told)
        return adapter.predict(weights, views.z, t, cond, views.look.cameras, hears).eps

    assert torch.equal(ask(False, theirs.cond["y"]), deaf.predict(views.z, t, theirs.cond["y"]).eps)
    # beside a prior that is told the camera it is told none
    none = theirs.cond["y"].tensors
    bare = deaf.answer(deaf.unet, views.z, t, none["states"], none["class_labels"]).eps
    assert torch.equal(ask(False, views.cond["y"]), bare)
    assert torch.equal(ask(True, theirs.cond["y"]), boxed.predict(views.z, t, views.cond["y"]).eps)
    mute = make_adapter(deaf, LoraSpec(camera=False))
    said = mute.predict(
        mute.init(Streams(0)), views.z, t, views.cond["y"], views.look.cameras, torch.full((2,), True)
    )
    assert torch.equal(said.eps, ask(False, views.cond["y"]))


@pytest.mark.parametrize("which", ["small", "boxed"])
def test_it_hears_the_prompt_without_view_words(which, request):
    prior = request.getfixturevalue(which)
    bare, words = views_of(prior), views_of(prior, view_words=True)
    assert "plain" not in bare.cond
    for name, value in text_of(words.cond).tensors.items():
        torch.testing.assert_close(value, bare.cond["y"].tensors[name])
    assert any(
        not torch.equal(value, bare.cond["y"].tensors[name])
        for name, value in words.cond["y"].tensors.items()
    )


def test_a_network_without_a_place_for_the_camera_is_refused():
    with pytest.raises(
        ConfigError, match=r"^guidance\.critic\.camera: the network Line has no time embedding"
    ):
        LoraNetwork(Line(), LoraSpec(), pose=True)
    with pytest.raises(ConfigError, match=r"^guidance\.critic\.layers: .* no layers of the kind 'attention'"):
        LoraNetwork(Line(), LoraSpec(layers="attention"))
