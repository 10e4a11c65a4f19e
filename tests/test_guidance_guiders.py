"""Perp-Neg and the library's guiders: identities, limits, and the views' weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from family_cases import FAMILIES, SIDE, conditions, look, noise, prior_of
from hypothesis import given
from hypothesis import strategies as st
from sds3d.guidance.base import Views
from sds3d.guidance.build import build_guidance
from sds3d.guidance.guiders import GUIDERS, Guider, PerpNeg
from sds3d.guidance.methods import sds
from sds3d.guidance.noise import Noisy
from sds3d.guidance.predictions import CFG

from sds3d.core.cameras import orbit
from sds3d.core.errors import ConfigError
from sds3d.core.schedules import constant
from sds3d.core.streams import Streams
from sds3d.priors.base import Prediction
from sds3d.priors.branches import perp_neg
from sds3d.priors.noise_schedule import stable_diffusion_schedule

SHAPE = (3, 2, 4, 4)
SCHEDULE = stable_diffusion_schedule()


def state(t: float = 0.4) -> Noisy:
    times = torch.full((3,), t, dtype=torch.float64)
    z = noise(*SHAPE, tag="z").double()
    return Noisy(z, z, times, SCHEDULE.alpha(times), SCHEDULE.sigma(times))


def answer(at: Noisy, tag: str, weight: float | None = None) -> Prediction:
    alpha, sigma = (v[:, None, None, None] for v in (at.alpha, at.sigma))
    said = Prediction.of(noise(*SHAPE, tag=tag).double(), at.z_t, alpha, sigma, "epsilon")
    w = None if weight is None else torch.full((3,), weight)
    return replace(said, weight=w)


def consistent(found: Prediction, at: Noisy) -> None:
    """All four forms describe one point."""
    alpha, sigma = (v[:, None, None, None] for v in (at.alpha, at.sigma))
    torch.testing.assert_close(alpha * found.x0 + sigma * found.eps, at.z_t)
    torch.testing.assert_close(found.v, alpha * found.eps - sigma * found.x0)
    torch.testing.assert_close(found.velocity, found.eps - found.x0)


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).flatten(1).sum(1)


@given(s=st.floats(0, 50), w0=st.floats(-3, 0), w1=st.floats(-3, 0), t=st.floats(0.05, 0.95))
def test_perp_neg_adds_only_what_is_across_the_prompt(s: float, w0: float, w1: float, t: float) -> None:
    at = state(t)
    answers = {"mix": answer(at, "y"), "null": answer(at, "u")}
    answers |= {"neg0": answer(at, "a", w0), "neg1": answer(at, "b", w1)}
    found = PerpNeg(constant(s)).combine(answers, 0.0)
    consistent(found, at)
    e_pos = answers["mix"].eps - answers["null"].eps
    # along the prompt it is plain guidance
    torch.testing.assert_close(dot(found.eps - answers["null"].eps, e_pos), s * dot(e_pos, e_pos))
    # across it, the weighted negatives
    rest = found.eps - answers["null"].eps - s * e_pos
    for name, w, other, v in (("neg0", w0, "neg1", w1), ("neg1", w1, "neg0", w0)):
        e = [answers[n].eps - answers["null"].eps for n in (name, other)]
        across = [x - (dot(x, e_pos) / dot(e_pos, e_pos))[:, None, None, None] * e_pos for x in e]
        torch.testing.assert_close(
            dot(rest, across[0]), s * (w * dot(across[0], across[0]) + v * dot(*across))
        )


def test_perp_neg_without_weights_is_plain_guidance() -> None:
    at = state()
    answers = {"mix": answer(at, "y"), "null": answer(at, "u"), "neg0": answer(at, "a", 0.0)}
    answers["neg1"] = answer(at, "b", 0.0)
    plain = CFG(constant(7.5), positive="mix").combine(answers, 0.0)
    torch.testing.assert_close(PerpNeg(constant(7.5)).combine(answers, 0.0).eps, plain.eps)
    # a negative that is the prompt itself changes nothing either
    answers["neg0"] = replace(answers["mix"], weight=torch.full((3,), -2.0))
    torch.testing.assert_close(PerpNeg(constant(7.5)).combine(answers, 0.0).eps, plain.eps)


def test_view_weights_of_perp_neg() -> None:
    """A direction is not repelled by the side that the camera stands exactly at (guidance card §1.6)."""
    cameras = orbit([0.0, 45.0, 90.0, 135.0, 180.0, -90.0, 0.0], torch.tensor([0.0] * 6 + [80.0]))
    views = perp_neg(cameras)
    shares = [view[0][0] for view in views]
    assert shares[0] == {"y0": 1.0, "y1": 0.0}
    assert shares[1] == {"y0": 0.5, "y1": 0.5}
    assert shares[3] == {"y1": 0.5, "y2": 0.5}
    assert shares[4] == {"y1": 0.0, "y2": 1.0}
    assert shares[5] == shares[2]
    assert shares[6] == {"y3": 1.0}
    weights = [(view[1][1], view[2][1]) for view in views]
    assert weights[0][0] == pytest.approx(0.0, abs=1e-3)  # front, seen from the front
    assert weights[0][1] == pytest.approx(-(4 - 2.426))
    assert weights[2][0] == pytest.approx(-(math.exp(-0.5) - 0.606), abs=1e-3)  # side, seen from the side
    assert weights[4] == (pytest.approx(-(1 - 0.606)), pytest.approx(-1.967))
    assert weights[6] == (0.0, 0.0)
    assert all(w <= 1e-3 for pair in weights for w in pair)
    assert [view[1][0] for view in views[:5]] == [{"y0": 1.0}] * 2 + [{"y1": 1.0}] * 3


@pytest.mark.parametrize("name", FAMILIES)
def test_perp_neg_takes_a_step_with_every_family(name: str) -> None:
    """Four predictions a view; the gradient is that of the formula."""
    prior, views = prior_of(name), look()
    guidance = build_guidance(sds.Options(cfg_scale=7.5, combine="perp_neg"), prior, steps=10)
    cond = conditions(name, views)
    z = prior.encode(torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6))).detach()
    found, _, log = guidance.guide(Views(views, {}, z, cond), 0, Streams(3), guidance.init(Streams(3)))
    assert log["nfe"] == 4
    assert torch.isfinite(found["z"]).all()
    plain = build_guidance(sds.Options(cfg_scale=7.5), prior, steps=10)
    other, _, _ = plain.guide(Views(views, {}, z, cond), 0, Streams(3), plain.init(Streams(3)))
    assert float((found["z"] - other["z"]).abs().max()) > 1e-7
    assert float(cond["neg0"].weight.max()) <= 1e-3
    mixed = cond["mix"].tensors["states"][0]
    r = 1 - 10.0 / 90.0  # the first view stands at 10°
    ends = [conditions(name, look(*[(a, 0.0)] * 4))["y"].tensors["states"][0] for a in (0.0, 90.0)]
    torch.testing.assert_close(mixed, r * ends[0] + (1 - r) * ends[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GUIDERS)
def test_guiders_are_plain_guidance_where_the_answers_agree(name: str) -> None:
    """With the prompt saying nothing new there is nothing to guide; and the forms stay one point."""
    at = state()
    y = answer(at, "y")
    found = Guider(name, constant(7.5)).combine({"y": y, "null": y, "skip": y}, 0.0, at)
    torch.testing.assert_close(found.eps, y.eps, rtol=1e-5, atol=1e-5)  # one computes in float32
    other = Guider(name, constant(7.5)).combine(
        {"y": y, "null": answer(at, "u"), "skip": answer(at, "s")}, 0.0, at
    )
    consistent(other, at)
    assert float((other.eps - y.eps).abs().max()) > 1e-3


def test_apg_with_all_of_the_parallel_part_is_cfg_and_with_none_is_across() -> None:
    at = state()
    answers = {"y": answer(at, "y"), "null": answer(at, "u")}
    plain = CFG(constant(5.0)).combine(answers, 0.0)
    free = (("adaptive_projected_guidance_rescale", 0.0),)
    whole = Guider("apg", constant(5.0), parameters=(*free, ("eta", 1.0))).combine(answers, 0.0, at)
    torch.testing.assert_close(whole.eps, plain.eps)
    across = Guider("apg", constant(5.0), parameters=(*free, ("eta", 0.0))).combine(answers, 0.0, at)
    push = across.x0 - answers["null"].x0
    torch.testing.assert_close(
        dot(push, answers["y"].x0), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0
    )
    # the threshold bounds the push in x0
    bound = Guider("apg", constant(5.0), parameters=(("adaptive_projected_guidance_rescale", 0.1),))
    pushed = (bound.combine(answers, 0.0, at).x0 - answers["null"].x0).flatten(1).norm(dim=1)
    assert float(pushed.max()) <= 5.0 * 0.1 + 1e-6


def test_cfg_zero_star_scales_no_prompt_to_its_best_fit() -> None:
    at = state()
    answers = {"y": answer(at, "y"), "null": answer(at, "u")}
    y, u = answers["y"].velocity, answers["null"].velocity
    best = (dot(y, u) / dot(u, u))[:, None, None, None]
    found = Guider("cfg_zero_star", constant(4.0)).combine(answers, 0.0, at)
    torch.testing.assert_close(found.velocity, best * u + 4.0 * (y - best * u), rtol=1e-5, atol=1e-6)


def test_skip_layer_guidance_pushes_from_the_worse_answer() -> None:
    at = state()
    answers = {name: answer(at, name) for name in ("y", "null", "skip")}
    guider = Guider("slg", constant(4.0), parameters=(("skip_layer_guidance_scale", 2.0),))
    found = guider.combine(answers, 0.0, at)
    expected = CFG(constant(4.0)).combine(answers, 0.0).eps + 2.0 * (answers["y"].eps - answers["skip"].eps)
    torch.testing.assert_close(found.eps, expected)
    assert guider.branches() == {"y", "null", "skip"}


def test_options_make_combiners() -> None:
    assert isinstance(sds.Options(combine="perp_neg").build_combiner(), PerpNeg)
    assert isinstance(sds.Options().build_combiner(), CFG)
    apg = sds.Options(combine={"guider": "apg", "space": "eps", "parameters": {"eta": 0}}).build_combiner()
    assert (apg.name, apg.space, apg.parameters) == ("apg", "eps", (("eta", 0.0),))
    assert sds.Options(combine="mambo").build_combiner().name == "mambo"
    with pytest.raises(ValueError, match="combine"):
        sds.Options(combine="agp")
    with pytest.raises(ConfigError, match=r"no parameter 'etaa'.*Did you mean eta"):
        sds.Options(combine={"guider": "apg", "parameters": {"etaa": 0}}).build_combiner()
    with pytest.raises(ConfigError, match=r"no parameter 'start'"):
        sds.Options(combine={"guider": "apg", "parameters": {"start": 0}}).build_combiner()
    with pytest.raises(ConfigError, match=r"condition skip, which the prior"):
        build_guidance(sds.Options(combine="slg"), prior_of("sd1"), 10)
